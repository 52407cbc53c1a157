import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openPostgresProxy } from '../chaos/faults/postgres-proxy.ts'
import { type Door, openDoor, SESSIONS } from '../support/admission-door.ts'
import { follow } from '../support/event-stream-reader.ts'
import type { Scope } from '../support/parts.ts'
import { until } from '../support/until.ts'

async function openRoom(t: Scope, capacity: number, options = {}): Promise<Door> {
  const door = await openDoor(t, options)
  await door.desk.setRoom('concert', { capacity })
  return door
}

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
