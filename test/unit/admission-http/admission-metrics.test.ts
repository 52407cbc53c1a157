import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import { ROOM_DEFAULTS, type Room } from '../../../src/admission/room.ts'
import { createAdmissionMetrics } from '../../../src/telemetry/admission-metrics.ts'

function room(eventId: string, counts: Partial<Room> = {}): Room {
  const kept = { paused: false, active: 1, waiting: 2, granted: 3, freed: 2, freedPerSecond: null }
  return { ...ROOM_DEFAULTS, eventId, capacity: 4, ...kept, ...counts }
}

function setup(rooms: () => Promise<readonly Room[]> = async () => []) {
  const registry = new Registry()
  const metrics = createAdmissionMetrics(registry, { rooms })
  const lines = async (name: string) =>
    (await registry.metrics()).split('\n').filter(line => line.startsWith(name))
  return { metrics, lines }
}

test('turns, joins, requests and streams are counted', async () => {
  const { metrics, lines } = setup()
  metrics.turned({ granted: 3, left: 2, expired: 1, abandoned: 0 })
  metrics.turned({ granted: 1, left: 0, expired: 0, abandoned: 4 })
  assert.deepEqual(await lines('admission_turned_total'), [
    'admission_turned_total{to="granted"} 4',
    'admission_turned_total{to="left"} 2',
    'admission_turned_total{to="expired"} 1',
    'admission_turned_total{to="abandoned"} 4',
  ])
  for (const created of [true, false, true]) metrics.joined(created)
  assert.deepEqual(await lines('admission_joins_total'), [
    'admission_joins_total{session="made"} 2',
    'admission_joins_total{session="found"} 1',
  ])
  metrics.streams(5)
  metrics.streams(4)
  assert.deepEqual(await lines('admission_streams_open'), ['admission_streams_open 4'])
})

test('requests are counted by route and class of status, and timed but for event streams', async () => {
  const { metrics, lines } = setup()
  for (const status of [200, 204, 404]) metrics.answered('/a', status, 0.02)
  metrics.answered('/a/events', 200, 3_600)
  assert.deepEqual(await lines('admission_http_requests_total'), [
    'admission_http_requests_total{route="/a",status="2xx"} 2',
    'admission_http_requests_total{route="/a",status="4xx"} 1',
    'admission_http_requests_total{route="/a/events",status="2xx"} 1',
  ])
  const counted = await lines('admission_http_request_duration_seconds_count')
  assert.deepEqual(counted, ['admission_http_request_duration_seconds_count{route="/a"} 3'])
})

test('rooms are shown as they are at the time of asking, all three gauges by one question', async () => {
  let asked = 0
  let shown = [room('a'), room('b', { active: 0, waiting: 9 })]
  const { lines } = setup(async () => {
    asked += 1
    return shown
  })
  assert.deepEqual(await lines('admission_room_'), [
    'admission_room_waiting{room="a"} 2',
    'admission_room_waiting{room="b"} 9',
    'admission_room_active{room="a"} 1',
    'admission_room_active{room="b"} 0',
    'admission_room_capacity{room="a"} 4',
    'admission_room_capacity{room="b"} 4',
  ])
  assert.equal(asked, 1)
  shown = [room('b')]
  assert.deepEqual(await lines('admission_room_waiting'), ['admission_room_waiting{room="b"} 2'])
})

test('of many rooms a hundred are shown, of many routes fifty, and the rest are others', async () => {
  const { metrics, lines } = setup(async () => Array.from({ length: 150 }, (_, n) => room(`${n}`)))
  assert.equal((await lines('admission_room_active')).length, 100)
  for (let n = 0; n < 60; n++) metrics.answered(`/${n}`, 200, 0.01)
  const requests = await lines('admission_http_requests_total')
  assert.equal(requests.length, 51)
  assert.equal(requests.at(-1), 'admission_http_requests_total{route="other",status="2xx"} 10')
})

test('rooms that cannot be read leave the other metrics as they are', async () => {
  const { metrics, lines } = setup(async () => {
    throw new Error('the database is away')
  })
  metrics.streams(1)
  assert.deepEqual(await lines('admission_room_'), [])
  assert.deepEqual(await lines('admission_streams_open'), ['admission_streams_open 1'])
})
