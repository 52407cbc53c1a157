import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { openPostgresProxy } from '../chaos/faults/postgres-proxy.ts'
import {
  type Door,
  type DoorOptions,
  openDoor,
  SESSIONS,
  STRANGER,
} from '../support/admission-door.ts'
import { cleanup } from '../support/cleanup.ts'
import type { Scope } from '../support/parts.ts'
import { until } from '../support/until.ts'

interface Wire {
  readonly socket: Socket
  readonly received: () => string
  readonly closed: () => boolean
}

/** A bare connection: what is sent is what the test says. */
function dial(t: Scope, { server }: Pick<Door, 'server'>, sent = ''): Wire {
  const [host, port] = server.address.split(':')
  const socket = connect({ host: host as string, port: Number(port) })
  let received = ''
  let closed = false
  socket.setEncoding('latin1')
  socket.on('data', chunk => {
    received += chunk
  })
  socket.on('close', () => {
    closed = true
  })
  socket.on('error', () => {})
  socket.write(sent)
  cleanup(t, () => {
    socket.destroy()
  })
  return { socket, received: () => received, closed: () => closed }
}

function closes(wire: Wire, deadlineMs: number): Promise<void> {
  return until(wire.closed, { deadlineMs, what: `the connection is closed: ${wire.received()}` })
}

async function openRoom(t: Scope, options: DoorOptions = {}) {
  const door = await openDoor(t, options)
  await door.desk.setRoom('concert', { capacity: 1 })
  const join = (from?: string) =>
    door.call('POST', SESSIONS, {
      headers: from === undefined ? {} : { 'x-forwarded-for': from },
      body: { eventId: 'concert', userId: 'ada' },
    })
  /** How many of so many joins at once were taken. */
  const taken = async (froms: (string | undefined)[]) => {
    const answers = await Promise.all(froms.map(from => join(from)))
    return answers.filter(({ status }) => status === 202).length
  }
  return { ...door, join, taken }
}

/** Joins at once; more than there can be windows of a second meanwhile. */
const MANY = 16

function assertBelow(count: number, bound: number): void {
  assert.ok(count < bound, `${count} were taken`)
}

const numbered = <T>(of: (n: number) => T): T[] => Array.from({ length: MANY }, (_, n) => of(n))

test('more joins of an address than it may send are 429 with the time to wait, then taken again', async t => {
  const { call, join } = await openRoom(t, { joinsPerSecond: 1 })
  const answers = await Promise.all(numbered(() => join()))
  const refused = answers.filter(({ status }) => status === 429)
  assert.ok(refused.length > 0)
  for (const { headers, json } of refused) {
    assert.equal(headers['retry-after'], '1')
    assert.equal(headers['content-type'], 'application/problem+json; charset=utf-8')
    assert.equal((json as { type: string }).type, '/problems/too-many-joins')
  }
  for (let poll = 0; poll < MANY; poll++) {
    assert.equal((await call('GET', `${SESSIONS}/${STRANGER}`)).status, 404)
  }
  const again = async () => (await join()).status === 202
  await until(again, { deadlineMs: 5_000, what: 'the address may join again' })
})

test('without a proxy in front nobody is another client by a header', async t => {
  const { taken } = await openRoom(t, { joinsPerSecond: 1 })
  assertBelow(await taken(numbered(n => `10.0.0.${n}`)), MANY)
})

test('behind one proxy each client is counted, by what the proxy itself has seen', async t => {
  const { taken } = await openRoom(t, { joinsPerSecond: 1, trustProxy: 1 })
  assert.equal(await taken(numbered(n => `10.0.0.${n}`)), MANY)
  assertBelow(await taken(numbered(n => `10.0.1.${n}, 10.9.9.9`)), MANY)
})

test('addresses of one /64 are one client, and an IPv4 one is the same in both ways to write it', async t => {
  const { taken } = await openRoom(t, { joinsPerSecond: 1, trustProxy: 1 })
  assertBelow(await taken(numbered(n => `2001:db8:0:1::${n + 1}`)), MANY)
  assert.equal(await taken(numbered(n => `2001:db8:0:${n + 16}::1`)), MANY)
  assertBelow(await taken(numbered(n => (n % 2 ? '10.0.0.1' : '::ffff:10.0.0.1'))), MANY / 2 + 1)
})

test('nonsense for an address is a client like any other', async t => {
  const { taken } = await openRoom(t, { joinsPerSecond: 50, trustProxy: 1 })
  const odd = ['unknown', '::1%eth0', '1.2.3.4:80', '"', ',', '::ffff:999.1.1.1', 'x'.repeat(2_000)]
  assert.equal(await taken(odd), odd.length)
})

test('one who sends a request byte by byte is cut off with 408', async t => {
  const door = await openDoor(t)
  const head = dial(t, door, `POST ${SESSIONS} HTTP/1.1\r\nhost: x\r\ncontent-`)
  const body = dial(
    t,
    door,
    `POST ${SESSIONS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"`,
  )
  await closes(head, 9_000)
  assert.match(head.received(), /^HTTP\/1\.1 408 /)
  assert.match(head.received(), /\/problems\/request-timeout/)
  await closes(body, 9_000)
  assert.match(body.received(), /^HTTP\/1\.1 408 /)
})

test('what is no HTTP, or has too large a header, is answered by a problem and cut off', async t => {
  const door = await openDoor(t)
  const bad = dial(t, door, 'hello\r\n\r\n')
  await closes(bad, 5_000)
  assert.match(bad.received(), /^HTTP\/1\.1 400 .*application\/problem\+json.*malformed-request/s)
  const long = dial(t, door, `GET / HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(9_000)}\r\n\r\n`)
  await closes(long, 5_000)
  assert.match(long.received(), /^HTTP\/1\.1 431 .*headers-too-large/s)
  const both = 'content-length: 5\r\ntransfer-encoding: chunked'
  const smuggled = dial(t, door, `POST ${SESSIONS} HTTP/1.1\r\nhost: x\r\n${both}\r\n\r\n0\r\n\r\n`)
  await closes(smuggled, 5_000)
  assert.match(smuggled.received(), /^HTTP\/1\.1 400 /)
  assert.equal((await door.call('GET', '/livez')).status, 200)
})

test('a body of no told length is cut off where the limit is', async t => {
  const door = await openDoor(t)
  const chunk = `400\r\n${'x'.repeat(0x400)}\r\n`
  const head = `POST ${SESSIONS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`
  const endless = dial(t, door, `${head}transfer-encoding: chunked\r\n\r\n${chunk.repeat(5)}`)
  const answered = () => /^HTTP\/1\.1 413 /.test(endless.received())
  await until(answered, { deadlineMs: 5_000, what: '413 before the end of the body' })
})

test('connections beyond the most that there may be are closed, the others served', async t => {
  const door = await openDoor(t, { connectionsMax: 2 })
  const [first, second] = [dial(t, door), dial(t, door)]
  const open = () => first.socket.readyState === 'open' && second.socket.readyState === 'open'
  await until(open, { deadlineMs: 5_000, what: 'two connections' })
  first.socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n')
  const served = () => first.received().includes('200 OK')
  await until(served, { deadlineMs: 5_000, what: 'the first is served' })
  await closes(dial(t, door, 'GET /livez HTTP/1.1\r\nhost: x\r\n\r\n'), 5_000)
  assert.equal(first.closed(), false)
})

test('while it stops, what is under way is answered, and what still comes is told to go elsewhere', async t => {
  let answer: ((text: string) => void) | undefined
  const metrics = () =>
    new Promise<string>(resolve => {
      answer = resolve
    })
  const door = await openDoor(t, { adminToken: null, metrics })
  const asked = 'HTTP/1.1\r\nhost: localhost\r\n\r\n'
  // The second one has begun, so that its connection is not idle when the first is answered.
  const wire = dial(t, door, `GET /metrics ${asked}GET /livez HTTP/1.1\r\n`)
  const asking = () => answer !== undefined
  await until(asking, { deadlineMs: 5_000, what: 'the first request is under way' })
  const stopped = door.server.stop()
  answer?.('# the metrics\n')
  const answered = () => wire.received().includes('# the metrics')
  await until(answered, { deadlineMs: 2_000, what: 'the first request is answered' })
  wire.socket.write('host: localhost\r\n\r\n')
  await closes(wire, 2_000)
  await stopped
  const [first = '', second = ''] = wire.received().split(/(?=HTTP\/1\.1 )/)
  assert.match(first, /^HTTP\/1\.1 200 .*# the metrics/s)
  assert.match(second, /^HTTP\/1\.1 503 .*connection: close.*\/problems\/stopping/is)
})

test('a stop does not wait for a database that hangs', async t => {
  let proxy: Awaited<ReturnType<typeof openPostgresProxy>> | undefined
  const throughUrl = async (url: string) => {
    proxy = await openPostgresProxy(t, url)
    return proxy.url
  }
  const door = await openRoom(t, { throughUrl })
  proxy?.blackHole()
  const hanging = dial(t, door, `GET ${SESSIONS}/${STRANGER} HTTP/1.1\r\nhost: x\r\n\r\n`)
  const reached = () => hanging.socket.bytesWritten > 0 && hanging.socket.readyState === 'open'
  await until(reached, { deadlineMs: 5_000, what: 'the request is sent' })
  const startedAtMs = performance.now()
  await door.server.stop()
  assert.ok(performance.now() - startedAtMs < 1_100)
  await closes(hanging, 1_000)
  proxy?.heal()
})
