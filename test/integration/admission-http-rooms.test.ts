import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAdminGate } from '../../src/admission/http/admin-gate.ts'
import { SluiceError } from '../../src/errors.ts'
import { ADMIN_TOKEN, type Answer, openDoor, ROOMS, SESSIONS } from '../support/admission-door.ts'

const room = `${ROOMS}/concert`

function kindOf({ json }: Answer): string | undefined {
  return (json as { type?: string } | undefined)?.type?.replace('/problems/', '')
}

function fieldsOf({ json }: Answer): string[] {
  return (json as { errors: { field: string }[] }).errors.map(({ field }) => field)
}

test('a room is made with a capacity, and changed field by field', async t => {
  const { admin } = await openDoor(t)
  const made = await admin('PUT', room, { capacity: 3 })
  assert.equal(made.status, 200)
  const expected = {
    eventId: 'concert',
    capacity: 3,
    leaseSeconds: 600,
    claimSeconds: 60,
    waitGraceSeconds: 120,
    renewable: true,
    targetUrl: null,
    paused: false,
    active: 0,
    waiting: 0,
    granted: 0,
    freed: 0,
    freedPerSecond: null,
  }
  assert.deepEqual(made.json, expected)
  const changes = {
    leaseSeconds: 86_400,
    claimSeconds: 1,
    waitGraceSeconds: null,
    renewable: false,
    targetUrl: 'https://tickets.example/a?b=c',
  }
  assert.deepEqual((await admin('PUT', room, changes)).json, { ...expected, ...changes })
  assert.deepEqual((await admin('PUT', room, {})).json, { ...expected, ...changes })
  assert.deepEqual((await admin('GET', room)).json, { ...expected, ...changes })
})

test('a higher capacity lets the next ones in, a pause nobody, and resuming those who wait', async t => {
  const { admin, join, turn } = await openDoor(t)
  await admin('PUT', room, { capacity: 0 })
  for (const user of ['ada', 'bob', 'eve']) await join('concert', user)
  await turn('concert')
  const counts = ({ json }: Answer) => {
    const { active, waiting, paused } = json as Record<string, unknown>
    return { active, waiting, paused }
  }
  const first = await admin('PUT', room, { capacity: 1 })
  assert.deepEqual(counts(first), { active: 1, waiting: 2, paused: false })
  const paused = await admin('POST', `${room}/pause`)
  assert.deepEqual([paused.status, counts(paused).paused], [200, true])
  const raised = await admin('PUT', room, { capacity: 3 })
  assert.deepEqual(counts(raised), { active: 1, waiting: 2, paused: true })
  assert.deepEqual(counts(await admin('POST', `${room}/resume`)), {
    active: 3,
    waiting: 0,
    paused: false,
  })
})

test('settings out of bounds and targets that are no plain web address are refused', async t => {
  const { admin } = await openDoor(t)
  await admin('PUT', room, { capacity: 1 })
  for (const [field, values] of Object.entries({
    capacity: [-1, 1.5, '3', null, 1_000_001],
    leaseSeconds: [0, 0.5, 86_401, null],
    claimSeconds: [0, 86_401],
    waitGraceSeconds: [0, 86_401, 'x'],
    renewable: ['true', 1, null],
    targetUrl: [
      '',
      'tickets.example',
      '/relative',
      'javascript:alert(1)',
      'data:text/html,x',
      'ftp://x.example',
      'https://user:hunter2@x.example/',
      'https://user@x.example/',
      `https://x.example/${'x'.repeat(2_000)}`,
      `https://x.example/${'ü'.repeat(400)}`,
      'https://x.example/\n',
    ],
    paused: [true],
  })) {
    for (const value of values) {
      const answer = await admin('PUT', room, { [field]: value })
      assert.equal(kindOf(answer), 'bad-input', `${field} ${value} ${answer.text}`)
      assert.deepEqual(fieldsOf(answer), [field])
      assert.equal(answer.text.includes('hunter2'), false)
    }
  }
  const untouched = (await admin('GET', room)).json as { capacity: number; targetUrl: null }
  assert.deepEqual([untouched.capacity, untouched.targetUrl], [1, null])
})

test('a new room needs a capacity; a room that is not there cannot be seen or paused', async t => {
  const { admin } = await openDoor(t)
  const answer = await admin('PUT', room, { leaseSeconds: 5 })
  assert.deepEqual(
    [answer.status, kindOf(answer), fieldsOf(answer)],
    [400, 'bad-input', ['capacity']],
  )
  for (const [method, path] of [
    ['GET', room],
    ['POST', `${room}/pause`],
    ['POST', `${room}/resume`],
  ] as const) {
    const { status, ...rest } = await admin(method, path)
    assert.deepEqual([status, kindOf({ status, ...rest })], [404, 'unknown-room'])
  }
  for (const id of ['%00', '%0A', 'x'.repeat(201)]) {
    assert.equal(kindOf(await admin('GET', `${ROOMS}/${id}`)), 'bad-input', id)
  }
})

test('ids of rooms may hold any character that a path can be made of', async t => {
  const { admin } = await openDoor(t)
  for (const id of ['a/b', 'pause', '../..', 'ü 🎫', "'; drop table x", '__proto__', '%', '?a=b']) {
    const path = `${ROOMS}/${encodeURIComponent(id)}`
    assert.equal((await admin('PUT', path, { capacity: 1 })).status, 200, id)
    assert.equal(((await admin('POST', `${path}/pause`)).json as { eventId: string }).eventId, id)
  }
})

test('rooms are listed in pages, in the order of their ids', async t => {
  const { admin, sql } = await openDoor(t)
  await sql`
    insert into admission.rooms (event_id, capacity)
    select 'room-' || lpad(n::text, 4, '0'), 1 from generate_series(1, 1001) n`
  const page = async (query: string) => {
    const { json } = await admin('GET', `${ROOMS}${query}`)
    const { rooms, next } = json as { rooms: { eventId: string }[]; next: string | null }
    return { ids: rooms.map(({ eventId }) => eventId), next }
  }
  const first = await page('')
  assert.deepEqual([first.ids.length, first.ids[0], first.next], [1_000, 'room-0001', 'room-1000'])
  assert.deepEqual(await page(`?after=${first.next}`), { ids: ['room-1001'], next: null })
  const twice = await admin('GET', `${ROOMS}?after=a&after=b`)
  assert.equal(kindOf(twice), 'bad-input')
})

test('every admin call wants the token, and tells nothing without it', async t => {
  const { call, admin } = await openDoor(t)
  await admin('PUT', room, { capacity: 1 })
  const calls = [
    ['GET', ROOMS],
    ['GET', room],
    ['PUT', room],
    ['POST', `${room}/pause`],
    ['POST', `${room}/resume`],
    ['GET', `${ROOMS}/unknown`],
  ] as const
  for (const authorization of [
    undefined,
    'Bearer',
    'Bearer ',
    `Bearer ${ADMIN_TOKEN.slice(0, -1)}`,
    `Bearer ${ADMIN_TOKEN} x`,
    `Basic ${ADMIN_TOKEN}`,
    ADMIN_TOKEN,
  ]) {
    for (const [method, path] of calls) {
      const headers = authorization === undefined ? {} : { authorization }
      const answer = await call(method, path, { headers, body: { capacity: 9 } })
      assert.deepEqual([answer.status, kindOf(answer)], [401, 'unauthorized'], `${authorization}`)
      assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer/)
    }
  }
  const lowerCase = { headers: { authorization: `bearer ${ADMIN_TOKEN}` } }
  assert.equal((await call('GET', room, lowerCase)).status, 200)
  assert.equal(((await admin('GET', room)).json as { capacity: number }).capacity, 1)
})

test('without a token only this machine is an admin: not by another name, a proxy or a web page', async t => {
  const { call } = await openDoor(t, { adminToken: null })
  const port = 8080
  const put = (headers: Record<string, string>) =>
    call('PUT', room, { headers: { host: `127.0.0.1:${port}`, ...headers }, body: { capacity: 1 } })
  for (const headers of [
    {},
    { host: `localhost:${port}` },
    { host: `[::1]:${port}` },
    { host: '127.1.2.3' },
    { origin: `http://127.0.0.1:${port}`, 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'none' },
  ]) {
    assert.equal((await put(headers)).status, 200, JSON.stringify(headers))
  }
  for (const headers of [
    { host: 'rebound.example' },
    { host: `localhost.evil.example:${port}` },
    { host: 'localhost@evil.example' },
    { host: '10.0.0.1' },
    { forwarded: 'for=127.0.0.1' },
    { 'x-forwarded-for': '127.0.0.1' },
    { 'x-forwarded-host': 'localhost' },
    { 'x-real-ip': '127.0.0.1' },
    { via: '1.1 proxy' },
    { origin: 'https://evil.example' },
    { origin: 'http://127.0.0.1:3000' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ]) {
    const answer = await put(headers)
    const about = `${JSON.stringify(headers)} ${answer.text}`
    assert.deepEqual([answer.status, kindOf(answer)], [403, 'admin-closed'], about)
    assert.match((answer.json as { detail: string }).detail, /configure an admin token/)
  }
  assert.equal((await call('GET', '/metrics', { headers: { host: 'x.example' } })).status, 403)
})

test('without a token a peer that is not loopback is no admin', async t => {
  const gate = createAdminGate(null)
  const from = (remoteAddress: string | undefined, headers = { host: 'localhost' }) =>
    gate({ raw: { socket: { remoteAddress } }, headers } as never)
  for (const peer of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) await from(peer)
  for (const peer of ['10.0.0.1', '::ffff:10.0.0.1', 'fe80::1', '::', undefined]) {
    await assert.rejects(from(peer), { name: 'Problem', kind: 'admin-closed' }, peer)
  }
  for (const headers of [{}, { host: '' }, { host: ' ' }]) {
    await assert.rejects(from('127.0.0.1', headers as never), { kind: 'admin-closed' })
  }
  t.diagnostic('the peers are given to the gate itself: a test has only loopback to come from')
})

test('an admin token that is short or cannot be sent is refused at the start, and not repeated', () => {
  for (const token of ['', 'hunter2', 'hunter2 with some spaces', `hunter2${'ü'.repeat(20)}`]) {
    assert.throws(
      () => createAdminGate(token),
      (error: unknown) =>
        error instanceof SluiceError && error.code === 'options' && !/hunter2/.test(error.message),
      token,
    )
  }
})

test('each change of a room is logged with who made it and what it changed, and nothing else is', async t => {
  const { admin, log, call, join } = await openDoor(t)
  await admin('PUT', room, { capacity: 1 })
  await admin('PUT', room, { capacity: 2, leaseSeconds: 600 })
  await admin('PUT', room, { capacity: 2 })
  await admin('POST', `${room}/pause`)
  await admin('POST', `${room}/pause`)
  await admin('GET', room)
  await admin('PUT', room, { capacity: -1 })
  const id = await join('concert', 'ada')
  await call('GET', `${SESSIONS}/${id}`)
  const lines = log.map(({ level, facts, message }) => ({ level, ...facts, message }))
  const line = { level: 'info', peer: '127.0.0.1', room: 'concert', message: 'room changed' }
  assert.deepEqual(lines.slice(1), [
    { ...line, changed: { capacity: { from: 1, to: 2 } } },
    { ...line, changed: { paused: { from: false, to: true } } },
  ])
  const { changed } = lines[0] as unknown as { changed: Record<string, unknown> }
  assert.deepEqual(changed.capacity, { from: null, to: 1 })
})
