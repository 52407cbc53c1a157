import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openPostgresProxy } from '../chaos/faults/postgres-proxy.ts'
import {
  assertProblem,
  type Door,
  type LogLine,
  openDoor,
  SESSIONS,
  STRANGER,
} from '../support/admission-door.ts'
import type { Scope } from '../support/parts.ts'
import { until } from '../support/until.ts'

async function openRoom(t: Scope, capacity: number): Promise<Door> {
  const door = await openDoor(t)
  await door.desk.setRoom('concert', { capacity, targetUrl: 'https://tickets.example/' })
  return door
}

test('unknown ids are 404, whatever they look like', async t => {
  const { call } = await openRoom(t, 1)
  for (const id of [STRANGER, 'x', "'%3B--", '%00', '%F0%9F%99%82', '__proto__', 'x'.repeat(400)]) {
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/heartbeat'],
      ['POST', '/leave'],
      ['GET', '/events'],
    ] as const) {
      const answer = await call(method, `${SESSIONS}/${id}${path}`)
      assertProblem(answer, 404, 'unknown-session', `${method} ${id}${path} `)
    }
  }
})

test('a join of a room that is not there is 404, unless joining makes rooms', async t => {
  const body = { eventId: 'nowhere', userId: 'ada' }
  const strict = await openDoor(t)
  assertProblem(await strict.call('POST', SESSIONS, { body }), 404, 'unknown-room')
  const lenient = await openDoor(t, { capacityOfNewRooms: 3 })
  assert.equal((await lenient.call('POST', SESSIONS, { body })).status, 202)
})

test('bad input names each field and what it must be, and never what was sent', async t => {
  const { call } = await openRoom(t, 1)
  const fields = async (body: object | string, headers = {}) => {
    const answer = await call('POST', SESSIONS, { body, headers })
    assertProblem(answer, 400, 'bad-input', `${JSON.stringify(body)} `)
    const { errors } = answer.json as { errors: { field: string; mustBe: string }[] }
    assert.ok(errors.every(({ mustBe }) => mustBe.length > 0))
    assert.equal(answer.text.includes('hunter2'), false)
    return errors.map(({ field }) => field).sort()
  }
  assert.deepEqual(await fields({}), ['eventId', 'userId'])
  assert.deepEqual(await fields([]), ['body'])
  assert.deepEqual(await fields({ eventId: '', userId: 'u' }), ['eventId'])
  assert.deepEqual(await fields({ eventId: 'e', userId: 'hunter2'.repeat(40) }), ['userId'])
  for (const userId of [7, null, ['hunter2'], { hunter2: 1 }, 'a\nb', '\0', '\u009b', '\ud800']) {
    assert.deepEqual(await fields({ eventId: 'concert', userId }), ['userId'])
  }
  const unknown = await fields({ eventId: 'e', userId: 'u', admin: true, '<hunter2>': 1 })
  assert.deepEqual(unknown, ['(an unknown field)', 'admin'])
  const json = { 'content-type': 'application/json' }
  assert.deepEqual(await fields('null', json), ['body'])
})

test('ids of 200 characters of any script are taken, and one more is not', async t => {
  const { call } = await openDoor(t, { capacityOfNewRooms: 1 })
  const join = (eventId: string, userId: string) =>
    call('POST', SESSIONS, { body: { eventId, userId } })
  assert.equal((await join('🎫'.repeat(200), 'ü'.repeat(200))).status, 202)
  assertProblem(await join('🎫'.repeat(201), 'u'), 400, 'bad-input')
})

test('a body that is no JSON object, too large or of another type is refused before anything else', async t => {
  const { call } = await openRoom(t, 1)
  const json = { 'content-type': 'application/json' }
  const post = (body: string, headers: Record<string, string> = json) =>
    call('POST', SESSIONS, { body, headers })
  const poisoned = ['{"__proto__":{"x":1}}', '{"constructor":{"prototype":{"x":1}}}']
  for (const body of ['', '{', '{"eventId":"e"', '\ufffe', ...poisoned]) {
    assertProblem(await post(body), 400, 'malformed-body', `${body} `)
  }
  assertProblem(await post(`"${'x'.repeat(4_096)}"`), 413, 'too-large')
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'json', 'text/json']) {
    assertProblem(await post('{}', { 'content-type': type }), 415, 'not-json', type)
  }
  assertProblem(await post('{}', {}), 415, 'not-json')
  const charset = { 'content-type': 'application/json; charset=utf-8' }
  assert.equal((await post('{"eventId":"concert","userId":"u"}', charset)).status, 202)
})

test('unknown paths are 404, known ones with another method 405 with what they take', async t => {
  const { call } = await openRoom(t, 1)
  for (const path of ['/', '/api', `${SESSIONS}/x/y`, '/api/waiting-room', '/__proto__', '/*']) {
    assertProblem(await call('GET', path), 404, 'not-found', path)
  }
  assertProblem(await call('GET', '/%zz'), 400, 'malformed-request')
  assertProblem(await call('GET', `${SESSIONS}/${'x'.repeat(501)}`), 414, 'uri-too-long')
  for (const [method, path, allow] of [
    ['GET', SESSIONS, 'POST'],
    ['PUT', `${SESSIONS}/x`, 'DELETE, GET, HEAD'],
    ['PATCH', `${SESSIONS}/x/leave`, 'POST'],
    ['HEAD', `${SESSIONS}/x/events`, 'GET'],
    ['DELETE', '/livez', 'GET, HEAD'],
    ['OPTIONS', `${SESSIONS}/x`, 'DELETE, GET, HEAD'],
  ] as const) {
    const answer = await call(method, path, { headers: { 'content-type': 'odd' } })
    assert.equal(answer.headers.allow, allow, `${method} ${path}`)
    if (method !== 'HEAD') assertProblem(answer, 405, 'method-not-allowed')
  }
})

test('what a type of problem leads to says what it stands for', async t => {
  const { call } = await openRoom(t, 1)
  const { json } = await call('GET', `${SESSIONS}/${STRANGER}`)
  const { type, title } = json as { type: string; title: string }
  assert.deepEqual((await call('GET', type)).json, { type, status: 404, title })
})

test('while the database is away calls are 503 and say when to come again, then they work', async t => {
  let proxy: Awaited<ReturnType<typeof openPostgresProxy>> | undefined
  const { call, admin, sql, log } = await openDoor(t, {
    throughUrl: async url => {
      proxy = await openPostgresProxy(t, url)
      return proxy.url
    },
  })
  await admin('PUT', '/api/waiting-room/rooms/concert', { capacity: 1 })
  proxy?.refuse()
  proxy?.reset()
  const body = { eventId: 'concert', userId: 'ada' }
  for (const answer of [
    await call('POST', SESSIONS, { body }),
    await call('GET', `${SESSIONS}/${STRANGER}`),
    await call('GET', `${SESSIONS}/${STRANGER}/events`),
    await call('POST', `${SESSIONS}/${STRANGER}/leave`),
    await admin('GET', '/api/waiting-room/rooms/concert'),
  ]) {
    assertProblem(answer, 503, 'database-away')
    assert.match(answer.headers['retry-after'] ?? '', /^[1-9]$/)
  }
  assert.equal((await call('GET', '/livez')).status, 200)
  assert.deepEqual(
    log.filter(({ level }) => level === 'error'),
    [],
  )
  proxy?.heal()
  const joined = async () => (await call('POST', SESSIONS, { body })).status === 202
  await until(joined, { deadlineMs: 15_000, what: 'a join is taken again' })
  const [{ count } = { count: 0 }] = await sql<{ count: number }[]>`
    select count(*)::int from admission.sessions`
  assert.equal(count, 1)
})

test('a fault of the server is 500, told in the log alone', async t => {
  const metrics = async () => {
    throw new Error('hunter2 at /srv/secret')
  }
  const { admin, log } = await openDoor(t, { metrics })
  const answer = await admin('GET', '/metrics')
  assertProblem(answer, 500, 'internal')
  assert.equal(/hunter2|srv/.test(answer.text), false)
  const { facts, message } = log[0] as LogLine
  assert.equal(message, 'request failed')
  assert.equal(facts.instance, (answer.json as { instance: string }).instance)
  assert.equal(facts.route, '/metrics')
})
