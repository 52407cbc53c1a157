import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ProducerUnderTest } from './producer.ts'
import { acked, assertLieWhereAcked, kindsOf, soon } from './producer-outcomes.ts'
import { sampleEvents } from './sample-event.ts'

const DAY_MS = 86_400_000
const MISSING_BY_NATURE = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '__defineGetter__',
]

/** Registers the tests of what arrives: bytes, headers, time stamps, odd names. */
export function producerRecordContract(
  name: string,
  open: (t: TestContext) => Promise<ProducerUnderTest>,
): void {
  test(`${name}: any bytes arrive as they are, also from the middle of a larger buffer`, async t => {
    const { producer, createTopic, readTopic } = await open(t)
    const topic = await createTopic(1)
    const every = Uint8Array.from({ length: 256 }, (_, byte) => byte)
    const large = new Uint8Array(100_000).map((_, index) => (index * 31) % 251)
    const payloads = [every, every.subarray(7, 200), large, new Uint8Array(0), Buffer.from('é')]
    const events = sampleEvents(payloads.map((payload, n) => ({ topic, key: `k${n}`, payload })))
    for (const outcome of await producer.publish(events, soon())) acked(outcome)
    const values = (await readTopic(topic)).map(({ value }) => value)
    assert.deepEqual(
      values,
      payloads.map(payload => Buffer.from(payload)),
    )
  })

  test(`${name}: headers of all names and texts arrive, and those that are no text harm their event alone`, async t => {
    const { producer, createTopic, readTopic } = await open(t)
    const topic = await createTopic(1)
    const good = [
      '{}',
      '{"a":""}',
      '{"é":"😀","with space":"tab\\t\\u0000 end"}',
      '{"1":"one","0":"zero"}',
      JSON.stringify(Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`h${n}`, 'v']))),
    ]
    const bad = ['{"n":1}', '{"n":null}', '{"n":true}', '{"n":["x"]}', '{"n":{"a":"x"}}', '[]', '1']
    const list = [...good, ...bad].map((headersJson, n) => ({ topic, key: `k${n}`, headersJson }))
    const events = sampleEvents(list.sort((a, b) => a.headersJson.length - b.headersJson.length))
    const outcomes = await producer.publish(events, soon())
    const expected = events.map(event => (good.includes(event.headersJson) ? 'acked' : 'rejected'))
    assert.deepEqual(kindsOf(outcomes), expected)
    const records = await readTopic(topic)
    assert.equal(records.length, good.length)
    assertLieWhereAcked(events, outcomes, records)
    for (const record of records) {
      const event = events.find(({ eventId }) => eventId === record.headers.event_id)!
      const own = { event_id: event.eventId, event_type: event.eventType, 'sluice-id': event.id }
      const sent = Object.entries({ ...JSON.parse(event.headersJson), ...own }).sort()
      assert.deepEqual(Object.entries(record.headers).sort(), sent)
    }
  })

  test(`${name}: a record bears the time of its publishing, however old the event is`, async t => {
    const { producer, createTopic, readTopic } = await open(t)
    const topic = await createTopic(1)
    const events = sampleEvents([{ ageMs: 30 * DAY_MS }, { ageMs: 0 }]).map(event => ({
      ...event,
      topic,
    }))
    const before = Date.now()
    for (const outcome of await producer.publish(events, soon())) acked(outcome)
    const after = Date.now()
    for (const { timestamp } of await readTopic(topic))
      assert.ok(before <= timestamp && timestamp <= after, `${before} ${timestamp} ${after}`)
  })

  test(`${name}: topics with the names of an object’s own members are topics like others`, async t => {
    const { producer, createTopic } = await open(t)
    const topic = await createTopic(1)
    const topics = [...MISSING_BY_NATURE, topic]
    const events = sampleEvents(topics.map(each => ({ topic: each, key: 'a' })))
    const outcomes = await producer.publish(events, soon())
    assert.deepEqual(kindsOf(outcomes), [...MISSING_BY_NATURE.map(() => 'unknown'), 'acked'])
    for (const outcome of outcomes.slice(0, -1)) {
      assert.ok(outcome.kind === 'unknown')
      assert.deepEqual([outcome.code, outcome.scope], ['UNKNOWN_TOPIC_OR_PARTITION', 'topic'])
    }
  })

  test(`${name}: offsets rise within each partition, from batch to batch`, async t => {
    const { producer, createTopic } = await open(t)
    const topic = await createTopic(2)
    const last = new Map<number, bigint>()
    for (let batch = 0; batch < 5; batch++) {
      const keys = Array.from({ length: 30 }, (_, n) => ({ topic, key: `k${n % 7}` }))
      for (const outcome of await producer.publish(sampleEvents(keys), soon())) {
        const { partition, offset } = acked(outcome)
        const before = last.get(partition) ?? -1n
        assert.ok(BigInt(offset) > before, `partition ${partition}: ${offset} after ${before}`)
        last.set(partition, BigInt(offset))
      }
    }
    assert.equal(last.size, 2)
  })
}
