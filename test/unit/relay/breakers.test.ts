import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { RelayEvent } from '../../../src/events.ts'
import type { OutboxEvent } from '../../../src/outbox/event.ts'
import { Breakers } from '../../../src/relay/breakers.ts'
import type { Outcome, Unknown } from '../../../src/relay/producer.ts'
import { sampleEvents } from '../../contract/sample-event.ts'
import { until } from '../../support/until.ts'

const LONG_MS = 60_000
const LIMIT = 50

const acked: Outcome = { kind: 'acked', partition: 0, offset: '1' }
const rejected: Outcome = { kind: 'rejected', code: 'bad', message: 'bad', permanent: false }
const clusterDown: Unknown = {
  kind: 'unknown',
  code: 'reset',
  message: 'connection reset',
  fault: 'broker',
  scope: 'cluster',
}
const topicDown: Unknown = { ...clusterDown, code: 'no_leader', scope: 'topic' }
const held: Unknown = { ...topicDown, code: 'key_held', fault: 'held' }

function eventsOf(...topics: string[]): OutboxEvent[] {
  return sampleEvents(topics.map(topic => ({ topic })))
}

function setup(t: TestContext, resetMs = LONG_MS) {
  const told: string[] = []
  const breakers = new Breakers(resetMs, (event: RelayEvent) => {
    if (event.kind === 'breaker_changed') told.push(`${event.breaker} ${event.state}`)
  })
  t.after(() => breakers.stop())
  /** A batch with one event per topic, all with the same outcome. */
  const batch = async (outcome: Outcome, ...topics: string[]) => {
    const events = eventsOf(...topics)
    breakers.record(
      events,
      events.map(() => outcome),
    )
    // opossum counts in a later microtask.
    await new Promise(setImmediate)
  }
  const fail = async (times: number, outcome: Outcome, ...topics: string[]) => {
    for (let n = 0; n < times; n++) await batch(outcome, ...topics)
  }
  const halfOpen = (name: string) =>
    until(() => told.at(-1) === `${name} half_open`, {
      deadlineMs: 5_000,
      what: `${name} is half-open`,
    })
  return { breakers, told, batch, fail, halfOpen }
}

test('as long as nothing has failed everything may be reserved and sent', async t => {
  const { breakers, batch } = setup(t)
  await batch(acked, 'a', 'b')
  const events = eventsOf('a', 'b', 'a')
  assert.equal(breakers.reservable(LIMIT), LIMIT)
  assert.deepEqual(breakers.shutTopics(), [])
  assert.equal(breakers.admit(events), events)
  assert.deepEqual(breakers.openNames(), [])
})

test('the cluster’s breaker opens at the third failed batch in a row: nothing more is reserved', async t => {
  const { breakers, fail, told } = setup(t)
  await fail(2, clusterDown, 'a')
  assert.equal(breakers.reservable(LIMIT), LIMIT)
  await fail(1, clusterDown, 'b')
  assert.equal(breakers.reservable(LIMIT), 0)
  assert.deepEqual(breakers.admit(eventsOf('a', 'b', 'c')), [])
  assert.deepEqual(breakers.openNames(), ['cluster'])
  assert.deepEqual(told, ['cluster open'])
})

test('three failures in a row open it however many successes there were before', async t => {
  const { breakers, batch, fail } = setup(t)
  for (let n = 0; n < 200; n++) await batch(acked, 'a')
  await fail(3, clusterDown, 'a')
  assert.equal(breakers.reservable(LIMIT), 0)
})

test('a success between the failures begins the count anew', async t => {
  const { breakers, batch, fail } = setup(t)
  await fail(2, clusterDown, 'a')
  await batch(acked, 'a')
  await fail(2, clusterDown, 'a')
  assert.equal(breakers.reservable(LIMIT), LIMIT)
  await fail(1, clusterDown, 'a')
  assert.equal(breakers.reservable(LIMIT), 0)
})

test('poison events never open a breaker: the broker has answered', async t => {
  const { breakers, fail, told } = setup(t)
  await fail(20, rejected, 'a')
  assert.equal(breakers.reservable(LIMIT), LIMIT)
  assert.deepEqual([breakers.shutTopics(), breakers.openNames(), told], [[], [], []])
})

test('a poison event counts as an answer, like an acknowledgement', async t => {
  const { breakers, fail } = setup(t)
  await fail(2, clusterDown, 'a')
  await fail(1, rejected, 'a')
  await fail(2, clusterDown, 'a')
  assert.equal(breakers.reservable(LIMIT), LIMIT)
})

test('a topic’s breaker leaves other topics and the cluster alone', async t => {
  const { breakers, batch, fail, told } = setup(t)
  for (let n = 0; n < 3; n++) {
    await fail(1, topicDown, 'down')
    await batch(acked, 'up')
  }
  assert.deepEqual(breakers.shutTopics(), ['down'])
  assert.equal(breakers.reservable(LIMIT), LIMIT)
  const events = eventsOf('up', 'down', 'up')
  assert.deepEqual(breakers.admit(events), [events[0], events[2]])
  assert.deepEqual(told, ['topic:down open'])
})

test('a topic’s failure is an answer of the cluster', async t => {
  const { breakers, fail } = setup(t)
  await fail(2, clusterDown, 'a')
  await fail(1, topicDown, 'b')
  await fail(2, clusterDown, 'a')
  assert.equal(breakers.reservable(LIMIT), LIMIT)
})

test('a batch in which a topic had a success is none of its failures', async t => {
  const { breakers, batch, fail } = setup(t)
  breakers.record(eventsOf('a', 'a'), [acked, topicDown])
  await fail(2, topicDown, 'a')
  assert.deepEqual(breakers.shutTopics(), [])
  await batch(topicDown, 'a')
  assert.deepEqual(breakers.shutTopics(), ['a'])
})

test('held events and missing outcomes say nothing about a destination', async t => {
  const { breakers, batch, fail } = setup(t)
  await fail(10, held, 'a')
  assert.deepEqual(breakers.openNames(), [])
  await fail(2, topicDown, 'a')
  await batch(held, 'a')
  breakers.record(eventsOf('a'), [])
  await fail(1, topicDown, 'a')
  assert.deepEqual(breakers.shutTopics(), ['a'])
})

test('a half-open topic admits exactly one event, however many slots ask', async t => {
  const { breakers, fail, halfOpen } = setup(t, 20)
  await fail(3, topicDown, 'a')
  await halfOpen('topic:a')
  assert.deepEqual(breakers.shutTopics(), [], 'its events may be reserved')
  const events = eventsOf('a', 'b', 'a')
  assert.deepEqual(breakers.admit(events), [events[0], events[1]])
  assert.deepEqual(breakers.admit(events), [events[1]], 'of another slot')
  assert.deepEqual(breakers.shutTopics(), ['a'])
})

test('a half-open cluster lets one event be reserved, and then none until its outcome is known', async t => {
  const { breakers, fail, halfOpen } = setup(t, 20)
  await fail(3, clusterDown, 'a')
  await halfOpen('cluster')
  assert.equal(breakers.reservable(LIMIT), 1)
  const events = eventsOf('a', 'b')
  assert.deepEqual(breakers.admit(events), [events[0]])
  assert.equal(breakers.reservable(LIMIT), 0)
  assert.deepEqual(breakers.admit(eventsOf('c')), [], 'of another slot')
})

test('the canary’s success closes the breaker and gives full speed back', async t => {
  const { breakers, batch, fail, halfOpen, told } = setup(t, 20)
  await fail(3, clusterDown, 'a')
  await halfOpen('cluster')
  breakers.admit(eventsOf('a'))
  await batch(acked, 'a')
  assert.equal(breakers.reservable(LIMIT), LIMIT)
  assert.equal(breakers.admit(eventsOf('a', 'b', 'c')).length, 3)
  assert.deepEqual(told, ['cluster open', 'cluster half_open', 'cluster closed'])
})

test('the canary’s failure opens the breaker again, until the next canary', async t => {
  const { breakers, batch, fail, halfOpen, told } = setup(t, 20)
  await fail(3, topicDown, 'a')
  await halfOpen('topic:a')
  breakers.admit(eventsOf('a'))
  await batch(topicDown, 'a')
  assert.equal(told[2], 'topic:a open')
  await halfOpen('topic:a')
  assert.equal(breakers.admit(eventsOf('a', 'a')).length, 1)
})

test('a canary that was merely held makes room for the next one', async t => {
  const { breakers, batch, fail, halfOpen } = setup(t, 20)
  await fail(3, topicDown, 'a')
  await halfOpen('topic:a')
  breakers.admit(eventsOf('a'))
  await batch(held, 'a')
  assert.deepEqual(breakers.openNames(), ['topic:a'])
  assert.equal(breakers.admit(eventsOf('a', 'a')).length, 1)
})

test('a batch that was on its way when the breaker opened does not close it', async t => {
  const { breakers, batch, fail } = setup(t)
  await fail(3, topicDown, 'a')
  await batch(acked, 'a')
  assert.deepEqual(breakers.shutTopics(), ['a'])
})

test('a thousand topics may have a breaker; those beyond are never shut', async t => {
  const { breakers, fail } = setup(t)
  const topics = Array.from({ length: 1_001 }, (_, n) => `t${n}`)
  await fail(3, topicDown, ...topics)
  assert.equal(breakers.shutTopics().length, 1_000)
  assert.equal(breakers.admit(eventsOf('t1000')).length, 1)
})

test('stopped breakers hold nothing back and tell of no change any more', async t => {
  const stopped = setup(t, 300)
  const running = setup(t, 400)
  await stopped.fail(3, clusterDown, 'a')
  await running.fail(3, clusterDown, 'a')
  stopped.breakers.stop()
  assert.equal(stopped.breakers.reservable(LIMIT), LIMIT)
  assert.deepEqual(stopped.breakers.openNames(), [])
  await running.halfOpen('cluster')
  assert.deepEqual(stopped.told, ['cluster open'])
})

test('after a fault of the cluster batches are small, and grow with each that arrives', async t => {
  const { breakers, batch } = setup(t)
  assert.equal(breakers.reservable(5_000), 5_000)
  await batch(clusterDown, 'a')
  const sizes: number[] = []
  for (let n = 0; n < 5; n++) {
    sizes.push(breakers.reservable(5_000))
    await batch(acked, 'a')
  }
  assert.deepEqual(sizes, [64, 256, 1_024, 4_096, 5_000])
  await batch(topicDown, 'a')
  assert.equal(breakers.reservable(5_000), 5_000, 'a topic alone makes no batch smaller')
})

test('what another replica has open is tried with one event first, and opens here when that fails', async t => {
  const { breakers, batch, told } = setup(t)
  breakers.suspect(['cluster', 'topic:a', 'database'])
  assert.equal(breakers.reservable(LIMIT), 1)
  assert.deepEqual(breakers.openNames(), [], 'it is a suspicion, no experience')
  const events = eventsOf('a', 'a')
  assert.deepEqual(breakers.admit(events), events.slice(0, 1))
  await batch(clusterDown, 'a')
  assert.deepEqual(told, ['cluster open'])
  assert.equal(breakers.reservable(LIMIT), 0)
})

test('a suspicion ends with the first success, or when the other replica has closed its breaker', async t => {
  const { breakers, batch } = setup(t)
  breakers.suspect(['cluster', 'topic:a'])
  await batch(acked, 'a')
  assert.equal(breakers.reservable(LIMIT), LIMIT)
  breakers.suspect(['cluster', 'topic:a'])
  assert.equal(breakers.reservable(LIMIT), LIMIT, 'what was known before is not suspected again')
  breakers.suspect([])
  breakers.suspect(['cluster'])
  assert.equal(breakers.reservable(LIMIT), 1)
  breakers.suspect([])
  assert.equal(breakers.reservable(LIMIT), LIMIT)
})

test('while a canary is on its way nothing else of its destination is admitted, and a failed one lets nothing through', async t => {
  const { breakers, batch, fail, halfOpen } = setup(t, 50)
  await fail(3, topicDown, 'a')
  await halfOpen('topic:a')
  const [canary, other] = eventsOf('a', 'a')
  assert.ok(canary && other)
  assert.deepEqual(breakers.admit([canary, other]), [canary])
  assert.deepEqual(breakers.shutTopics(), ['a'])
  breakers.record([canary], [topicDown])
  assert.deepEqual(breakers.admit([other]), [], 'at once, not only when opossum has counted')
  await batch(acked, 'b')
})
