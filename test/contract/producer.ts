import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { withDeadline } from '../../src/internal/deadline.ts'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import type { Outcome, Producer } from '../../src/relay/producer.ts'
import type { TopicRecord } from '../support/kafka.ts'
import { acked, kindsOf, placeOf, soon, textOf } from './producer-outcomes.ts'
import { producerPartitionContract } from './producer-partitions.ts'
import { producerRecordContract } from './producer-records.ts'
import { sampleEvents } from './sample-event.ts'

/** A producer and what its tests need of its broker. */
export interface ProducerUnderTest {
  readonly producer: Producer
  /** Makes a topic of its own, whose records may hold about 1,000,000 bytes. Returns its name. */
  createTopic(partitions: number): Promise<string>
  /** All records of a topic, by partition and offset. */
  readTopic(topic: string): Promise<readonly TopicRecord[]>
}

const OVERSIZE = 'x'.repeat(2 * 1024 * 1024)
const MISSING = 'a-topic-that-nobody-made'
const bad = { headersJson: '{"n":1}' }

/**
 * Registers the tests of what a `Producer` owes the relay.
 * @param open called by each test; what it opens it closes after the test
 */
export function producerContract(
  name: string,
  open: (t: TestContext) => Promise<ProducerUnderTest>,
): void {
  producerRecordContract(name, open)
  producerPartitionContract(name, open)

  const obligation = (
    text: string,
    work: (under: ProducerUnderTest, t: TestContext) => Promise<void>,
  ) => test(`${name}: ${text}`, async t => work(await open(t), t))

  obligation('each event has its outcome, in the order of the batch', async under => {
    const { producer, createTopic, readTopic } = under
    const topics = [await createTopic(1), await createTopic(3)]
    const events = sampleEvents(
      Array.from({ length: 60 }, (_, n) => ({
        topic: topics[n % 2] ?? '',
        key: n % 5 === 0 ? null : `k${n % 7}`,
        payload: String(n),
      })),
    )
    const outcomes = await producer.publish(events, soon())
    assert.equal(outcomes.length, events.length)
    const stored = new Map<string, string>()
    for (const topic of topics) {
      for (const record of await readTopic(topic))
        stored.set(placeOf(topic, record), textOf(record))
    }
    for (const [index, event] of events.entries()) {
      const place = placeOf(event.topic, acked(outcomes[index]))
      assert.equal(stored.get(place), event.payload, `event ${index} does not lie at ${place}`)
    }
    assert.equal(stored.size, events.length, 'nothing is stored twice')
  })

  obligation('no event has no outcome', async ({ producer }) => {
    assert.deepEqual(await producer.publish([], soon()), [])
  })

  obligation('payloads, keys and headers arrive untouched', async under => {
    const topic = await under.createTopic(1)
    const bytes = Uint8Array.from([9, 0, 255, 10, 13, 128, 9])
    const events = sampleEvents([
      { topic, key: 'text', payload: '{"total": 12345678901234567890.10,  "é":"😀"}' },
      { topic, key: 'bytes', payload: bytes.subarray(1, 6) },
      { topic, key: 'tombstone', payload: null },
      { topic, key: 'empty', payload: '' },
      { topic, key: '', payload: 'the empty key' },
      { topic, key: null, payload: 'no key' },
      { topic, key: 'ключ', payload: 'x', headersJson: '{"source":"shop","event_id":"forged"}' },
    ])
    for (const outcome of await under.producer.publish(events, soon())) acked(outcome)
    const records = new Map(
      (await under.readTopic(topic)).map(record => [record.headers['sluice-id'], record]),
    )
    for (const event of events) {
      const { key, value, headers } = records.get(event.id)!
      assert.deepEqual(key, event.key === null ? null : Buffer.from(event.key))
      assert.deepEqual(value, event.payload === null ? null : Buffer.from(event.payload))
      const row = event.key === 'ключ' ? { source: 'shop' } : {}
      const own = { event_id: event.eventId, event_type: event.eventType, 'sluice-id': event.id }
      assert.deepEqual({ ...headers }, { ...row, ...own })
    }
    assert.equal(records.size, events.length)
  })

  obligation('a key’s events lie in the order in which they were given', async under => {
    const topic = await under.createTopic(3)
    await Promise.all(
      Array.from({ length: 6 }, async (_, caller) => {
        for (let round = 0; round < 4; round++) {
          const events = sampleEvents(
            Array.from({ length: 40 }, (_, n) => ({
              topic,
              key: `${caller}-${n % 4}`,
              payload: String(round * 40 + n),
            })),
          )
          for (const outcome of await under.producer.publish(events, soon())) acked(outcome)
        }
      }),
    )
    const records = await under.readTopic(topic)
    assert.equal(records.length, 6 * 4 * 40)
    const last = new Map<string, number>()
    for (const record of records) {
      const n = Number(textOf(record))
      const before = last.get(String(record.key)) ?? -1
      assert.ok(n > before, `${record.key}: ${n} lies behind ${before}`)
      last.set(String(record.key), n)
    }
  })

  obligation('an oversize event is refused for good, and holds its key alone', async under => {
    const topic = await under.createTopic(2)
    const events = sampleEvents(
      Array.from({ length: 40 }, (_, n) => ({
        topic,
        key: `k${n % 4}`,
        payload: n === 12 ? OVERSIZE : String(n),
      })),
    )
    const outcomes = await under.producer.publish(events, soon())
    refusedAlone(events, outcomes, 12, 'message_too_large')
    await storedAsAcked(under, topic, events, outcomes)
  })

  obligation(
    'an event with headers that are no strings is refused for good, and holds its key alone',
    async under => {
      const topic = await under.createTopic(1)
      const events = sampleEvents(
        Array.from({ length: 20 }, (_, n) => ({
          topic,
          key: `k${n % 4}`,
          ...(n === 6 ? bad : {}),
        })),
      )
      const outcomes = await under.producer.publish(events, soon())
      refusedAlone(events, outcomes, 6, 'invalid_headers')
      await storedAsAcked(under, topic, events, outcomes)
    },
  )

  obligation('a refused event without a key holds no other one back', async under => {
    const topic = await under.createTopic(1)
    const events = sampleEvents([bad, { payload: OVERSIZE }, {}, {}]).map(event => ({
      ...event,
      topic,
      key: null,
    }))
    const outcomes = await under.producer.publish(events, soon())
    assert.deepEqual(kindsOf(outcomes), ['rejected', 'rejected', 'acked', 'acked'])
    await storedAsAcked(under, topic, events, outcomes)
  })

  obligation('a missing topic is no event’s fault, and other topics go on', async under => {
    const topic = await under.createTopic(1)
    const events = sampleEvents([
      { topic, key: 'a' },
      { topic: MISSING, key: 'a' },
      { topic: MISSING, key: 'b' },
      { topic, key: 'b' },
      { topic: MISSING, key: 'a' },
    ])
    for (let attempt = 0; attempt < 2; attempt++) {
      const outcomes = await under.producer.publish(events, soon())
      assert.deepEqual(kindsOf(outcomes), ['acked', 'unknown', 'unknown', 'acked', 'unknown'])
      for (const outcome of [outcomes[1], outcomes[2]]) {
        assert.ok(outcome?.kind === 'unknown')
        const { code, fault, scope } = outcome
        assert.deepEqual([code, fault, scope], ['UNKNOWN_TOPIC_OR_PARTITION', 'broker', 'topic'])
      }
    }
    assert.equal((await under.readTopic(topic)).length, 4)
  })

  obligation(
    'when the deadline is over nothing is sent, and nothing of it is an event’s fault',
    async under => {
      const topic = await under.createTopic(2)
      const events = sampleEvents(Array.from({ length: 10 }, (_, n) => ({ topic, key: `k${n}` })))
      for (const untilMs of [monotonicMs() - 1, 0]) {
        assert.deepEqual(
          new Set(kindsOf(await under.producer.publish(events, untilMs))),
          new Set(['unknown']),
        )
      }
      // Once connections and topics are known there is less to wait for.
      for (const outcome of await under.producer.publish(events, soon())) acked(outcome)
      assert.deepEqual(
        new Set(kindsOf(await under.producer.publish(events, monotonicMs() - 1))),
        new Set(['unknown']),
      )
      for (const outcome of await under.producer.publish(events, soon())) acked(outcome)
      assert.equal((await under.readTopic(topic)).length, 20)
    },
  )

  obligation(
    'closing ends in time, and what is in flight has its outcome all the same',
    async under => {
      const topic = await under.createTopic(1)
      const events = sampleEvents(
        Array.from({ length: 500 }, (_, n) => ({ topic, key: `k${n % 5}` })),
      )
      for (const outcome of await under.producer.publish(events, soon())) acked(outcome)
      const publishing = under.producer.publish(events, soon())
      await withDeadline(under.producer.close(2_000), 4_000, () => new Error('it did not close'))
      const outcomes = await publishing
      assert.equal(outcomes.length, events.length)
      assert.ok(outcomes.every(({ kind }) => kind !== 'rejected'))
      const stored = new Set((await under.readTopic(topic)).map(record => placeOf(topic, record)))
      for (const outcome of outcomes) {
        if (outcome.kind === 'acked') assert.ok(stored.has(placeOf(topic, outcome)))
      }
      await withDeadline(
        under.producer.close(2_000),
        4_000,
        () => new Error('it did not close twice'),
      )
    },
  )
}

/** The one at `at` is rejected for good; the later ones of its key are held, all others are acked. */
function refusedAlone(
  events: readonly OutboxEvent[],
  outcomes: readonly Outcome[],
  at: number,
  code: string,
): void {
  for (const [index, event] of events.entries()) {
    const outcome = outcomes[index]!
    if (index === at) {
      assert.ok(outcome.kind === 'rejected', `event ${index} is ${outcome.kind}`)
      assert.deepEqual([outcome.code, outcome.permanent], [code, true])
    } else if (index > at && event.key === events[at]?.key) {
      assert.ok(outcome.kind === 'unknown', `event ${index} is ${outcome.kind}`)
      assert.equal(outcome.fault, 'held')
    } else acked(outcome)
  }
}

/** The topic holds the acknowledged events and no others. */
async function storedAsAcked(
  { readTopic }: ProducerUnderTest,
  topic: string,
  events: readonly OutboxEvent[],
  outcomes: readonly Outcome[],
): Promise<void> {
  const stored = (await readTopic(topic)).map(record => String(record.headers.event_id))
  const expected = events.filter((_, index) => outcomes[index]?.kind === 'acked')
  assert.deepEqual(stored.sort(), expected.map(event => event.eventId).sort())
}
