import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { withDeadline } from '../../src/internal/deadline.ts'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import { until } from '../support/until.ts'
import type { WireGate } from '../support/wire-gate.ts'
import type { ProducerUnderTest } from './producer.ts'
import {
  acked,
  assertLieWhereAcked,
  faultsOf,
  idsOf,
  kindsOf,
  publishUntilAcked,
  soon,
  textOf,
} from './producer-outcomes.ts'
import { sampleEvents } from './sample-event.ts'

/** A producer whose every connection leads through a gate. */
export interface ProducerBehindGate extends ProducerUnderTest {
  readonly gate: WireGate
}

const BLACK_HOLE_MS = 1_500
const late = () => new Error('it took too long')

/**
 * Registers the tests of what a `Producer` owes the relay when its connections break.
 * @param open called by each test; what it opens it closes after the test
 */
export function producerWireContract(
  name: string,
  open: (t: TestContext) => Promise<ProducerBehindGate>,
): void {
  test(`${name}: a swallowed answer leaves its events unknown, and is not taken for that of the next batch`, async t => {
    const { producer, createTopic, readTopic, gate } = await open(t)
    const topic = await createTopic(1)
    const batch = (word: string) =>
      sampleEvents(
        Array.from({ length: 5 }, (_, n) => ({ topic, key: `${word}${n}`, payload: word })),
      )
    const before = batch('before')
    for (const outcome of await producer.publish(before, soon())) acked(outcome)
    gate.swallowNextAnswer()
    const swallowed = batch('swallowed')
    const unknown = await producer.publish(swallowed, soon())
    for (const [, fault] of faultsOf(unknown)) assert.equal(fault, 'broker')
    const next = batch('next')
    const outcomes = await producer.publish(next, soon())
    for (const outcome of outcomes) acked(outcome)
    const records = await readTopic(topic)
    assertLieWhereAcked(next, outcomes, records)
    const ids = [...before, ...swallowed, ...next].map(event => event.eventId)
    assert.deepEqual(idsOf(records), ids, 'each once: what is unknown is not repeated unasked')
  })

  test(`${name}: through resets in the middle of sending, a key’s events keep their order and partition`, async t => {
    const { producer, createTopic, readTopic, gate } = await open(t)
    const topic = await createTopic(3)
    gate.resetEach(7)
    const sent = new Map<string, number>()
    for (let round = 0; round < 6; round++) {
      const events = sampleEvents(
        Array.from({ length: 24 }, (_, n) => ({
          topic,
          key: `k${n % 8}`,
          payload: String(round * 24 + n),
        })),
      )
      const answers = await publishUntilAcked(producer, events, 30_000)
      for (const [index, { partition }] of answers.entries())
        sent.set(events[index]!.eventId, partition)
    }
    const last = new Map<string, number>()
    const partitions = new Map<string, number>()
    const seen = new Set<string>()
    for (const record of await readTopic(topic)) {
      const id = String(record.headers.event_id)
      assert.equal(record.partition, sent.get(id), 'a repetition lies in another partition')
      const key = String(record.key)
      assert.equal(partitions.get(key) ?? record.partition, record.partition)
      partitions.set(key, record.partition)
      if (seen.has(id)) continue
      seen.add(id)
      const n = Number(textOf(record))
      assert.ok(n > (last.get(key) ?? -1), `${key}: ${n} lies behind ${last.get(key)}`)
      last.set(key, n)
    }
    assert.equal(seen.size, sent.size)
  })

  test(`${name}: a broker that falls silent costs no more than the deadline, and closing no more than its grace`, async t => {
    const { producer, createTopic, gate } = await open(t)
    const topic = await createTopic(2)
    const events = sampleEvents(Array.from({ length: 8 }, (_, n) => ({ topic, key: `k${n}` })))
    for (const outcome of await producer.publish(events, soon())) acked(outcome)
    gate.blackHole()
    const publishing = producer.publish(events, monotonicMs() + BLACK_HOLE_MS)
    const outcomes = await withDeadline(publishing, BLACK_HOLE_MS + 500, late)
    assert.deepEqual(
      new Set(faultsOf(outcomes).map(String)),
      new Set(['timeout,broker,cluster']),
      'nobody’s event is to blame',
    )
    const inFlight = producer.publish(events, soon())
    const requests = gate.produceRequests
    await withDeadline(producer.close(1_000), 1_500, late)
    await until(() => gate.connections === 0, { deadlineMs: 2_000, what: 'all sockets are closed' })
    assert.ok((await withDeadline(inFlight, 15_000, late)).every(({ kind }) => kind === 'unknown'))
    assert.equal(gate.produceRequests, requests, 'nothing is sent after the close')
  })

  test(`${name}: a broker that has been silent is published to again once it answers`, async t => {
    const { producer, createTopic, gate } = await open(t)
    const topic = await createTopic(1)
    const events = sampleEvents([{ topic }])
    for (const outcome of await producer.publish(events, soon())) acked(outcome)
    gate.blackHole()
    assert.deepEqual(kindsOf(await producer.publish(events, monotonicMs() + 500)), ['unknown'])
    gate.heal()
    await publishUntilAcked(producer, events, 30_000)
  })

  test(`${name}: connections that the broker has ended for being idle cost no event an outcome`, async t => {
    const { producer, createTopic, gate, readTopic } = await open(t)
    const topic = await createTopic(2)
    const events = sampleEvents(Array.from({ length: 6 }, (_, n) => ({ topic, key: `k${n}` })))
    for (let round = 0; round < 3; round++) {
      for (const outcome of await producer.publish(events, soon())) acked(outcome)
      const ended = () => {
        // Again and again: a client may just be opening another one.
        gate.endConnections()
        return gate.connections === 0
      }
      await until(ended, { deadlineMs: 30_000, what: 'all connections are ended' })
    }
    assert.equal((await readTopic(topic)).length, 18)
  })
}
