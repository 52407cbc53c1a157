import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { until } from '../support/until.ts'
import type { ProducerUnderTest } from './producer.ts'
import {
  acked,
  assertLieWhereAcked,
  idsOf,
  kindsOf,
  publishUntilAcked,
  soon,
} from './producer-outcomes.ts'
import { sampleEvents } from './sample-event.ts'

/** A producer and a cluster whose topics can be set up and taken away. */
export interface ProducerAndTopics extends ProducerUnderTest {
  createTopic(partitions: number, config?: Readonly<Record<string, string>>): Promise<string>
  growTopic(topic: string, partitions: number): Promise<void>
  deleteTopic(topic: string): Promise<void>
  recreateTopic(topic: string, partitions: number): Promise<void>
}

/**
 * Registers the tests of what a `Producer` owes the relay when topics differ, refuse, vanish and come again.
 * @param open called by each test; what it opens it closes after the test
 */
export function producerTopicContract(
  name: string,
  open: (t: TestContext) => Promise<ProducerAndTopics>,
): void {
  test(`${name}: what one topic refuses harms no event of another one in the same batch`, async t => {
    const { producer, createTopic, readTopic } = await open(t)
    const strict = await createTopic(1, { 'max.message.bytes': '2000' })
    const plain = await createTopic(1)
    const events = sampleEvents(
      Array.from({ length: 40 }, (_, n) => ({
        topic: n % 2 ? plain : strict,
        key: `k${n}`,
        payload: n % 10 === 4 ? 'x'.repeat(5_000) : String(n),
      })),
    )
    const outcomes = await producer.publish(events, soon())
    const expected = events.map((_, n) => (n % 10 === 4 ? 'rejected' : 'acked'))
    assert.deepEqual(kindsOf(outcomes), expected)
    for (const topic of [strict, plain]) {
      const wanted = events.filter((event, n) => event.topic === topic && n % 10 !== 4)
      const stored = idsOf(await readTopic(topic))
      assert.deepEqual(
        stored,
        wanted.map(event => event.eventId),
      )
    }
  })

  test(`${name}: a batch that is larger than a request may be is split, and each event arrives once`, async t => {
    const { producer, createTopic, readTopic } = await open(t)
    // The second one takes less than the producer believes.
    for (const topic of [
      await createTopic(1),
      await createTopic(1, { 'max.message.bytes': '400000' }),
    ]) {
      const payload = 'x'.repeat(300_000)
      const events = sampleEvents(
        Array.from({ length: 10 }, (_, n) => ({ topic, key: `k${n % 2}`, payload })),
      )
      const outcomes = await producer.publish(events, soon())
      for (const outcome of outcomes) acked(outcome)
      const records = await readTopic(topic)
      assert.deepEqual(
        idsOf(records),
        events.map(event => event.eventId),
      )
      assertLieWhereAcked(events, outcomes, records)
    }
  })

  test(`${name}: a partition that a topic has only just been given can be named`, async t => {
    const { producer, createTopic, growTopic } = await open(t)
    const topic = await createTopic(2)
    for (const outcome of await producer.publish(sampleEvents([{ topic }]), soon())) acked(outcome)
    await growTopic(topic, 6)
    const naming = { headersJson: '{"sluice-partition":"5"}' }
    const events = sampleEvents([
      { topic, key: 'a' },
      { topic, key: 'a', ...naming },
    ])
    const [, named] = await publishUntilAcked(producer, events, 30_000)
    assert.equal(named?.partition, 5)
  })

  test(`${name}: a topic that is deleted and made again is found again, with its new partitions`, async t => {
    const { producer, createTopic, deleteTopic, recreateTopic, readTopic } = await open(t)
    const topic = await createTopic(2)
    const events = sampleEvents(Array.from({ length: 40 }, (_, n) => ({ topic, key: `k${n}` })))
    const publish = async () => kindsOf(await producer.publish(events, soon()))
    await publishUntilAcked(producer, events, 30_000)
    await deleteTopic(topic)
    const gone = async () => (await publish()).every(kind => kind === 'unknown')
    await until(gone, { deadlineMs: 20_000, what: 'the topic is gone' })
    await recreateTopic(topic, 4)
    const back = async () => (await publish()).every(kind => kind === 'acked')
    await until(back, { deadlineMs: 20_000, what: 'the new topic is written to' })
    const partitions = new Set((await readTopic(topic)).map(({ partition }) => partition))
    assert.deepEqual([...partitions], [0, 1, 2, 3])
  })

  test(`${name}: a topic that comes back with fewer partitions is written to again`, async t => {
    const { producer, createTopic, deleteTopic, recreateTopic, readTopic } = await open(t)
    const topic = await createTopic(4)
    const events = sampleEvents(Array.from({ length: 20 }, (_, n) => ({ topic, key: `k${n}` })))
    await publishUntilAcked(producer, events, 30_000)
    await deleteTopic(topic)
    await recreateTopic(topic, 1)
    const answers = await publishUntilAcked(producer, events, 30_000)
    assert.deepEqual(new Set(answers.map(({ partition }) => partition)), new Set([0]))
    assert.deepEqual(new Set(idsOf(await readTopic(topic))).size, events.length)
  })
}
