import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifyAdmission } from '../../src/admission/verify-admission.ts'
import { DOOR_SECRET, type Door, openDoor, SESSIONS } from '../support/admission-door.ts'
import { type EventStreamReader, follow, type ServerEvent } from '../support/event-stream-reader.ts'
import type { Scope } from '../support/parts.ts'
import { until } from '../support/until.ts'

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
  const extended = ({ names }: EventStreamReader) =>
    names.filter(name => name === 'active').length === 2
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
