import assert from 'node:assert/strict'
import { type IncomingMessage, request } from 'node:http'
import { test } from 'node:test'
import { verifyAdmission } from '../../src/admission/verify-admission.ts'
import { withDeadline } from '../../src/internal/deadline.ts'
import { openPostgresProxy } from '../chaos/faults/postgres-proxy.ts'
import { DOOR_SECRET, type Door, openDoor, SESSIONS } from '../support/admission-door.ts'
import { cleanup } from '../support/cleanup.ts'
import type { Scope } from '../support/parts.ts'
import { until } from '../support/until.ts'

interface ServerEvent {
  readonly id: string
  readonly event: string
  readonly data: {
    readonly status: string
    readonly position: number | null
    readonly token: string | null
    readonly leaseUntil: string | null
  }
}

class Stream {
  readonly response: IncomingMessage
  text = ''
  ended = false

  constructor(response: IncomingMessage) {
    this.response = response
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => {
      this.text += chunk
    })
    response.on('end', () => {
      this.ended = true
    })
    response.on('error', () => {})
  }

  /** As a browser would read them. */
  get events(): ServerEvent[] {
    return this.text
      .split('\n\n')
      .slice(0, -1)
      .filter(block => block.includes('event: '))
      .map(block => {
        const lines = block.split('\n').map(line => /^(\w+): (.*)$/.exec(line) ?? [])
        const field = (name: string) => lines.find(([, known]) => known === name)?.[2] ?? ''
        return { id: field('id'), event: field('event'), data: JSON.parse(field('data')) }
      })
  }

  get names(): string[] {
    return this.events.map(({ event }) => event)
  }

  until(predicate: (stream: Stream) => boolean, what: string): Promise<void> {
    return until(() => predicate(this), { deadlineMs: 10_000, what })
  }
}

function follow(t: Scope, { server }: Door, sessionId: string, headers = {}): Promise<Stream> {
  const url = `http://${server.address}${SESSIONS}/${sessionId}/events`
  const asking = request(url, { headers, agent: false })
  cleanup(t, () => {
    asking.destroy()
  })
  const answered = new Promise<Stream>((resolve, reject) => {
    asking.on('response', response => resolve(new Stream(response)))
    asking.on('error', reject)
  })
  asking.end()
  return withDeadline(answered, 10_000, () => new Error('the stream was not answered in time'))
}

async function openRoom(t: Scope, capacity: number, options = {}): Promise<Door> {
  const door = await openDoor(t, options)
  await door.desk.setRoom('concert', { capacity })
  return door
}

test('a stream tells the snapshot, the places on the way, the turn with its token, and the end', async t => {
  const door = await openRoom(t, 1)
  const { call, join, turn } = door
  const [ada, bob, eve] = [
    await join('concert', 'ada'),
    await join('concert', 'bob'),
    await join('concert', 'eve'),
  ]
  await turn('concert')
  const stream = await follow(t, door, eve)
  assert.equal(stream.response.statusCode, 200)
  const { headers } = stream.response
  assert.equal(headers['content-type'], 'text/event-stream; charset=utf-8')
  assert.equal(headers['cache-control'], 'no-store')
  assert.equal(headers['x-content-type-options'], 'nosniff')
  await stream.until(({ events }) => events.length > 0, 'the snapshot')
  assert.match(stream.text, /^retry: \d+\n\n/)
  assert.deepEqual([stream.names, stream.events[0]?.data.position], [['snapshot'], 2])
  await call('POST', `${SESSIONS}/${ada}/leave`)
  await stream.until(({ names }) => names.includes('position'), 'the new place')
  assert.equal(stream.events[1]?.data.position, 1)
  await call('POST', `${SESSIONS}/${bob}/leave`)
  await stream.until(({ names }) => names.includes('active'), 'the turn')
  const { data } = stream.events.at(-1) as ServerEvent
  const admission = await verifyAdmission(data.token, { secret: DOOR_SECRET, eventId: 'concert' })
  assert.equal(admission.userId, 'eve')
  await call('POST', `${SESSIONS}/${eve}/heartbeat`)
  const extended = ({ names }: Stream) => names.filter(name => name === 'active').length === 2
  await stream.until(extended, 'the extended lease')
  const again = stream.events.at(-1)?.data.leaseUntil ?? ''
  assert.ok(Date.parse(again) > Date.parse(data.leaseUntil ?? ''))
  await call('POST', `${SESSIONS}/${eve}/leave`)
  await stream.until(({ ended }) => ended, 'the end of the stream')
  assert.deepEqual([stream.names.at(-1), stream.events.at(-1)?.data.status], ['ended', 'LEFT'])
  const ids = stream.events.map(({ id }) => Number.parseInt(id, 10))
  assert.deepEqual(
    ids,
    ids.map((_, index) => index + 1),
  )
})

test('nothing is sent to one for whom nothing changes', async t => {
  const door = await openRoom(t, 0)
  const [first, second, third] = [
    await door.join('concert', 'ada'),
    await door.join('concert', 'bob'),
    await door.join('concert', 'eve'),
  ]
  await door.turn('concert')
  const quiet = await follow(t, door, first)
  const moving = await follow(t, door, third)
  await moving.until(({ events }) => events.length === 1, 'the snapshot')
  await door.call('DELETE', `${SESSIONS}/${second}`)
  await moving.until(({ names }) => names.includes('position'), 'the new place')
  await door.call('DELETE', `${SESSIONS}/${third}`)
  await moving.until(({ ended }) => ended, 'the end of the other stream')
  assert.deepEqual(quiet.names, ['snapshot'])
})

test('a client that comes again gets a snapshot whose number goes on, and 204 once it saw the end', async t => {
  const door = await openRoom(t, 0)
  const id = await door.join('concert', 'ada')
  const again = await follow(t, door, id, { 'last-event-id': '41' })
  await again.until(({ events }) => events.length === 1, 'the snapshot')
  assert.deepEqual([again.events[0]?.id, again.names], ['42', ['snapshot']])
  await door.call('DELETE', `${SESSIONS}/${id}`)
  await again.until(({ ended }) => ended, 'the end')
  const lastId = again.events.at(-1)?.id ?? ''
  const late = await follow(t, door, id, { 'last-event-id': '41' })
  await late.until(({ ended }) => ended, 'the end of one who did not see it')
  assert.deepEqual(late.names, ['snapshot', 'ended'])
  const finished = await follow(t, door, id, { 'last-event-id': lastId })
  assert.equal(finished.response.statusCode, 204)
})

test('twenty streams at once each tell of their own session', async t => {
  const streamsOpen: number[] = []
  const listener = {
    answered: () => {},
    joined: () => {},
    streams: (n: number) => streamsOpen.push(n),
  }
  const door = await openRoom(t, 0, { listener })
  const users = Array.from({ length: 20 }, (_, n) => `user-${n}`)
  const ids: string[] = []
  for (const user of users) ids.push(await door.join('concert', user))
  await door.turn('concert')
  const streams = await Promise.all(ids.map(id => follow(t, door, id)))
  for (const stream of streams) {
    await stream.until(({ events }) => events.length > 0, 'the snapshot')
  }
  assert.deepEqual(
    streams.map(({ events }) => events[0]?.data.position),
    users.map((_, index) => index + 1),
  )
  await door.desk.setRoom('concert', { capacity: 10 })
  for (const [index, stream] of streams.entries()) {
    const active = index < 10
    await stream.until(({ events }) => {
      const { data } = events.at(-1) as ServerEvent
      return active ? data.token !== null : data.position === index - 9
    }, `stream ${index} tells what has changed`)
  }
  assert.equal(Math.max(...streamsOpen), 20)
  for (const { response } of streams) response.destroy()
  const none = () => streamsOpen.at(-1) === 0
  await until(none, { deadlineMs: 5_000, what: 'no stream is counted any more' })
})

test('two streams of one session both tell, and one that goes leaves the other', async t => {
  const door = await openRoom(t, 0)
  const id = await door.join('concert', 'ada')
  const [one, other] = [await follow(t, door, id), await follow(t, door, id)]
  await one.until(({ events }) => events.length === 1, 'the snapshot')
  one.response.destroy()
  await door.desk.setRoom('concert', { capacity: 1 })
  await door.turn('concert')
  await other.until(({ names }) => names.includes('active'), 'the turn')
})

test('more streams than there may be are 503, until one ends; the session can be looked at', async t => {
  const door = await openRoom(t, 0, { streamsMax: 1 })
  const id = await door.join('concert', 'ada')
  const first = await follow(t, door, id)
  const refused = await door.call('GET', `${SESSIONS}/${id}/events`)
  assert.equal(refused.status, 503)
  assert.equal((refused.json as { type: string }).type, '/problems/too-many-streams')
  assert.match(refused.headers['retry-after'] ?? '', /^\d+$/)
  assert.equal((await door.call('GET', `${SESSIONS}/${id}`)).status, 200)
  first.response.destroy()
  const free = async () => (await follow(t, door, id)).response.statusCode === 200
  await until(free, { deadlineMs: 5_000, what: 'a stream may be opened again' })
})

test('an unknown session has no stream, and takes no place of one', async t => {
  const door = await openRoom(t, 0, { streamsMax: 1 })
  for (let time = 0; time < 3; time++) {
    assert.equal((await door.call('GET', `${SESSIONS}/x/events`)).status, 404)
  }
})

test('an open stream keeps the place of one who does nothing else, a closed one does not', async t => {
  const door = await openRoom(t, 0)
  await door.desk.setRoom('concert', { waitGraceMs: 3_000 })
  const [watching, gone] = [await door.join('concert', 'ada'), await door.join('concert', 'bob')]
  await door.turn('concert')
  const stream = await follow(t, door, watching)
  const closed = await follow(t, door, gone)
  await closed.until(({ events }) => events.length === 1, 'the snapshot of the one who goes')
  closed.response.destroy()
  const passed = async () => {
    const [row] = await door.sql<{ passed: boolean }[]>`
      select clock_timestamp() - seen_at > interval '3.2 seconds' as passed
      from admission.sessions where id = ${gone}`
    return row?.passed === true
  }
  await until(passed, { deadlineMs: 10_000, what: 'the other one was not seen for the grace' })
  await door.desk.setRoom('concert', { capacity: 2 })
  await stream.until(({ names }) => names.includes('active'), 'the turn')
  const [row] = await door.sql`select status from admission.sessions where id = ${gone}`
  assert.equal(row?.status, 'ABANDONED')
})

test('a stream outlives an outage of the database and tells then what has changed', async t => {
  let proxy: Awaited<ReturnType<typeof openPostgresProxy>> | undefined
  const throughUrl = async (url: string) => {
    proxy = await openPostgresProxy(t, url)
    return proxy.url
  }
  const door = await openRoom(t, 0, { throughUrl })
  const id = await door.join('concert', 'ada')
  const stream = await follow(t, door, id)
  await stream.until(({ events }) => events.length === 1, 'the snapshot')
  proxy?.refuse()
  proxy?.reset()
  const told = () => door.log.some(({ message }) => message === 'event streams stand still')
  await until(told, { deadlineMs: 10_000, what: 'the outage is logged' })
  const toldAtMs = performance.now()
  const lasting = () => performance.now() - toldAtMs > 2_500
  await until(lasting, { deadlineMs: 5_000, what: 'two more looks have failed' })
  proxy?.heal()
  const raise = async () =>
    (await door.admin('PUT', '/api/waiting-room/rooms/concert', { capacity: 1 })).status === 200
  await until(raise, { deadlineMs: 15_000, what: 'the room is changed' })
  await door.turn('concert')
  await stream.until(({ names }) => names.includes('active'), 'the turn')
  assert.equal(door.log.filter(({ level }) => level === 'warn').length, 1)
})

test('a stop ends the streams with a word, closes all within a second, and refuses what still comes', async t => {
  const door = await openRoom(t, 0)
  const id = await door.join('concert', 'ada')
  const streams = await Promise.all([follow(t, door, id), follow(t, door, id)])
  for (const stream of streams) {
    await stream.until(({ events }) => events.length === 1, 'the snapshot')
  }
  const startedAtMs = performance.now()
  await door.server.stop()
  assert.ok(performance.now() - startedAtMs < 1_000)
  for (const stream of streams) {
    await stream.until(({ ended }) => ended, 'the end')
    assert.match(stream.text, /: the server stops[^\n]*\n\n$/)
  }
  await assert.rejects(door.call('GET', '/livez'), { code: 'ECONNREFUSED' })
  await door.server.stop()
})

test('a stream that is being opened while the server stops is ended with a word, too', async t => {
  let proxy: Awaited<ReturnType<typeof openPostgresProxy>> | undefined
  const throughUrl = async (url: string) => {
    proxy = await openPostgresProxy(t, url)
    return proxy.url
  }
  const opened: number[] = []
  const listener = {
    answered: () => {},
    joined: () => {},
    streams: (n: number) => opened.push(n),
  }
  const door = await openRoom(t, 0, { throughUrl, listener })
  const id = await door.join('concert', 'ada')
  proxy?.blackHole()
  const following = follow(t, door, id)
  await until(() => opened.length > 0, { deadlineMs: 5_000, what: 'the session is looked at' })
  const stopped = door.server.stop()
  proxy?.heal()
  const stream = await following
  await stream.until(({ ended }) => ended, 'the end')
  assert.deepEqual(stream.names, ['snapshot'])
  assert.match(stream.text, /: the server stops[^\n]*\n\n$/)
  await stopped
})
