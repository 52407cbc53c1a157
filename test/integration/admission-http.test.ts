import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stillAdmitted, verifyAdmission } from '../../src/admission/verify-admission.ts'
import {
  ADMIN_TOKEN,
  type Answer,
  assertProblem,
  DOOR_SECRET,
  type Door,
  openDoor,
  SESSIONS,
  STRANGER,
} from '../support/admission-door.ts'
import type { Scope } from '../support/parts.ts'
import { until } from '../support/until.ts'

interface Shown {
  readonly sessionId: string
  readonly status: string
  readonly position: number | null
  readonly ahead: number | null
  readonly leaseUntil: string | null
  readonly token: string | null
}

function shown({ json }: Answer): Shown {
  return json as Shown
}

async function openRoom(t: Scope, capacity: number): Promise<Door> {
  const door = await openDoor(t)
  await door.desk.setRoom('concert', { capacity, targetUrl: 'https://tickets.example/' })
  return door
}

test('a join answers 202 with the session and where it is, and again with the same one', async t => {
  const { call } = await openRoom(t, 1)
  const body = { eventId: 'concert', userId: 'ada' }
  const first = await call('POST', SESSIONS, { body })
  const { sessionId } = first.json as { sessionId: string }
  assert.equal(first.status, 202)
  assert.match(sessionId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  assert.deepEqual(first.json, { sessionId })
  assert.equal(first.headers.location, `${SESSIONS}/${sessionId}`)
  const again = await call('POST', SESSIONS, { body })
  assert.equal(again.status, 202)
  assert.deepEqual(again.json, { sessionId })
})

test('one who waits sees the place and when to ask again, and no token', async t => {
  const { call, join, turn } = await openRoom(t, 0)
  await join('concert', 'ada')
  const id = await join('concert', 'bob')
  const unnumbered = await call('GET', `${SESSIONS}/${id}`)
  assert.equal(shown(unnumbered).position, null)
  await turn('concert')
  const { status, headers, json } = await call('GET', `${SESSIONS}/${id}`)
  assert.equal(status, 200)
  assert.deepEqual(json, {
    sessionId: id,
    eventId: 'concert',
    status: 'WAITING',
    position: 2,
    ahead: 1,
    estimatedWaitSeconds: null,
    leaseUntil: null,
    renewable: true,
    token: null,
    targetUrl: 'https://tickets.example/',
  })
  assert.equal(headers['retry-after'], '1')
  assert.equal(headers['cache-control'], 'no-store')
  assert.equal(headers['referrer-policy'], 'no-referrer')
  assert.equal(headers['content-security-policy'], "default-src 'none'; frame-ancestors 'none'")
  const head = await call('HEAD', `${SESSIONS}/${id}`)
  assert.deepEqual({ status: head.status, text: head.text }, { status: 200, text: '' })
})

test('one who is let in gets a token for as long as the lease', async t => {
  const { call, desk, join, turn } = await openRoom(t, 1)
  const id = await join('concert', 'ada')
  await turn('concert')
  const answer = await call('GET', `${SESSIONS}/${id}`)
  const { status, token, leaseUntil, position } = shown(answer)
  assert.deepEqual({ status, position }, { status: 'ACTIVE', position: null })
  assert.equal(answer.headers['retry-after'], undefined)
  const admission = await verifyAdmission(token, { secret: DOOR_SECRET, eventId: 'concert' })
  assert.deepEqual([admission.sessionId, admission.userId], [id, 'ada'])
  const leaseSecond = Math.floor(Date.parse(leaseUntil ?? '') / 1_000)
  assert.equal(admission.expiresAt.getTime() / 1_000, leaseSecond)
  assert.equal(await stillAdmitted(desk, admission), true)
  assert.equal(await stillAdmitted(desk, { ...admission, eventId: 'other' }), false)
  await call('DELETE', `${SESSIONS}/${id}`)
  assert.equal(await stillAdmitted(desk, admission), false)
  assert.equal(await stillAdmitted(desk, { ...admission, sessionId: STRANGER }), false)
})

test('a heartbeat extends the lease', async t => {
  const { call, join, turn } = await openRoom(t, 1)
  const id = await join('concert', 'ada')
  await turn('concert')
  const before = shown(await call('GET', `${SESSIONS}/${id}`))
  const after = shown(await call('POST', `${SESSIONS}/${id}/heartbeat`))
  assert.ok(Date.parse(after.leaseUntil ?? '') > Date.parse(before.leaseUntil ?? ''))
})

test('who leaves makes room for the next one, by either call, and may leave twice', async t => {
  const { call, join, turn } = await openRoom(t, 1)
  const [ada, bob, eve] = [
    await join('concert', 'ada'),
    await join('concert', 'bob'),
    await join('concert', 'eve'),
  ]
  await turn('concert')
  const left = await call('DELETE', `${SESSIONS}/${ada}`)
  assert.deepEqual([left.status, shown(left).status, shown(left).token], [200, 'LEFT', null])
  assert.equal(shown(await call('GET', `${SESSIONS}/${bob}`)).status, 'ACTIVE')
  await call('POST', `${SESSIONS}/${bob}/leave`)
  assert.equal(shown(await call('GET', `${SESSIONS}/${eve}`)).status, 'ACTIVE')
  assert.equal(shown(await call('POST', `${SESSIONS}/${ada}/leave`)).status, 'LEFT')
})

test('leave and heartbeat take an empty body or any other, of any type or none', async t => {
  const { call, join } = await openRoom(t, 1)
  const id = await join('concert', 'ada')
  for (const type of ['text/plain;charset=UTF-8', 'application/json', 'no type', '', undefined]) {
    for (const body of [undefined, '', 'x', '{"half":']) {
      const headers = type === undefined ? {} : { 'content-type': type }
      const init = { headers, ...(body !== undefined && { body }) }
      const { status, text } = await call('POST', `${SESSIONS}/${id}/heartbeat`, init)
      assert.equal(status, 200, `${type} ${body} ${text}`)
    }
  }
  const beacon = { headers: { 'content-type': 'text/plain;charset=UTF-8' }, body: '' }
  assert.equal(shown(await call('POST', `${SESSIONS}/${id}/leave`, beacon)).status, 'LEFT')
})

test('probes are for everybody, the metrics for admins', async t => {
  const health = {
    live: true,
    ready: false,
    checks: [
      { name: 'lifecycle', ok: true, text: 'running' },
      { name: 'database', ok: false, text: 'db-7' },
      { name: 'granter', ok: true, text: 'degraded: joining at kafka-7' },
    ],
  }
  const { call, admin } = await openDoor(t, { health: () => health })
  assert.deepEqual((await call('GET', '/livez')).text, 'ok\n')
  const { status, text } = await call('GET', '/readyz')
  const telling = '[-]database\n[+]granter degraded\nnot ok\n'
  assert.deepEqual({ status, text }, { status: 503, text: telling })
  const verbose = await call('GET', '/readyz?verbose')
  assert.equal(verbose.text, `[+]lifecycle\n${telling}`)
  assertProblem(await call('GET', '/metrics'), 401, 'unauthorized')
  const metrics = await admin('GET', '/metrics')
  assert.deepEqual([metrics.status, metrics.text], [200, '# none\n'])
  const wrong = { headers: { authorization: `Bearer ${ADMIN_TOKEN}x` } }
  assertProblem(await call('GET', '/metrics', wrong), 401, 'unauthorized')
})

test('the listener is told each answer by its route, never by what was in the path, and each join', async t => {
  const answered: string[] = []
  const joined: boolean[] = []
  const listener = {
    answered: (route: string, status: number, seconds: number) => {
      assert.ok(seconds >= 0 && seconds < 60)
      answered.push(`${route} ${status}`)
    },
    joined: (created: boolean) => joined.push(created),
    streams: () => {},
  }
  const { call } = await openDoor(t, { listener, capacityOfNewRooms: 1 })
  const body = { eventId: 'concert', userId: 'ada' }
  await call('POST', SESSIONS, { body })
  await call('POST', SESSIONS, { body })
  await call('POST', SESSIONS, { body: {} })
  await call('GET', `${SESSIONS}/${STRANGER}`)
  await call('GET', `/${STRANGER}`)
  await call('PATCH', `${SESSIONS}/${STRANGER}`)
  await until(() => answered.length === 6, { deadlineMs: 5_000, what: 'all are told' })
  assert.deepEqual(answered, [
    `${SESSIONS} 202`,
    `${SESSIONS} 202`,
    `${SESSIONS} 400`,
    `${SESSIONS}/:sessionId 404`,
    'none 404',
    `${SESSIONS}/:sessionId 405`,
  ])
  assert.deepEqual(joined, [true, false])
})
