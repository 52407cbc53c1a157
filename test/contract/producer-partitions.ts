import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { partitionOfKey } from '../../src/kafka/partitioner.ts'
import type { ProducerUnderTest } from './producer.ts'
import { acked, assertLieWhereAcked, kindsOf, soon } from './producer-outcomes.ts'
import { sampleEvents } from './sample-event.ts'

const PARTITIONS = 4
const OVERSIZE = 'x'.repeat(2 * 1024 * 1024)

/** A row's headers that name the partition to publish to. */
const naming = (partition: number | string) => ({
  headersJson: JSON.stringify({ 'sluice-partition': String(partition), source: 'shop' }),
})

/** Registers the tests of events that name the partition that they are for. */
export function producerPartitionContract(
  name: string,
  open: (t: TestContext) => Promise<ProducerUnderTest>,
): void {
  test(`${name}: an event that names a partition lies there, and the record does not tell`, async t => {
    const { producer, createTopic, readTopic } = await open(t)
    const topic = await createTopic(PARTITIONS)
    const named = Array.from({ length: 24 }, (_, n) => ({
      topic,
      key: n % 3 === 0 ? null : `k${n % 5}`,
      ...naming(n % PARTITIONS),
    }))
    const events = sampleEvents([...named, { topic, key: 'k1' }])
    const outcomes = await producer.publish(events, soon())
    const expected = [...named.keys()].map(n => n % PARTITIONS)
    assert.deepEqual(
      outcomes.map(outcome => acked(outcome).partition),
      [...expected, partitionOfKey('k1', PARTITIONS)],
    )
    const records = await readTopic(topic)
    assert.equal(records.length, events.length)
    assertLieWhereAcked(events, outcomes, records)
    for (const { headers } of records) assert.equal(headers['sluice-partition'], undefined)
    assert.equal(records.filter(({ headers }) => headers.source === 'shop').length, named.length)
  })

  test(`${name}: an event that names no partition of its topic is refused for good, and holds its key alone`, async t => {
    const { producer, createTopic, readTopic } = await open(t)
    const topic = await createTopic(PARTITIONS)
    const bad = [
      '',
      'two',
      '-1',
      '1.0',
      '01',
      ' 1',
      '٣',
      '4',
      '2147483647',
      '2147483648',
      '9'.repeat(30),
    ]
    const events = sampleEvents([
      ...bad.flatMap((partition, n) => [
        { topic, key: `k${n}` },
        { topic, key: `k${n}`, ...naming(partition) },
        { topic, key: `k${n}` },
      ]),
      { topic, key: null, ...naming(99) },
      { topic, key: null },
    ])
    const outcomes = await producer.publish(events, soon())
    assert.deepEqual(kindsOf(outcomes), [
      ...bad.flatMap(() => ['acked', 'rejected', 'unknown']),
      'rejected',
      'acked',
    ])
    for (const outcome of outcomes) {
      if (outcome.kind === 'unknown') assert.equal(outcome.fault, 'held')
      if (outcome.kind !== 'rejected') continue
      assert.deepEqual([outcome.code, outcome.permanent], ['invalid_partition', true])
    }
    assert.equal((await readTopic(topic)).length, bad.length + 1)
  })

  test(`${name}: a partition of a missing topic is no event’s fault`, async t => {
    const { producer } = await open(t)
    const topic = 'a-topic-that-nobody-made'
    const [outcome] = await producer.publish(sampleEvents([{ topic, ...naming(7) }]), soon())
    assert.ok(outcome?.kind === 'unknown')
    assert.deepEqual([outcome.code, outcome.scope], ['UNKNOWN_TOPIC_OR_PARTITION', 'topic'])
  })

  test(`${name}: a key’s events follow one another over partitions, and none comes after one that was refused`, async t => {
    const { producer, createTopic, readTopic } = await open(t)
    const topic = await createTopic(PARTITIONS)
    const hops = [0, 0, 3, 1, 1, 0, 2].map(partition => ({ topic, key: 'k', ...naming(partition) }))
    const events = sampleEvents([
      ...hops,
      { topic, key: 'k', payload: OVERSIZE, ...naming(3) },
      { topic, key: 'k', ...naming(1) },
      { topic, key: 'k' },
      { topic, key: 'other', ...naming(1) },
    ])
    const outcomes = await producer.publish(events, soon())
    const after = ['rejected', 'unknown', 'unknown', 'acked']
    assert.deepEqual(kindsOf(outcomes), [...hops.map(() => 'acked'), ...after])
    const records = await readTopic(topic)
    assert.equal(records.length, hops.length + 1)
    assertLieWhereAcked(events, outcomes, records)
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const own = records.filter(
        record => record.partition === partition && String(record.key) === 'k',
      )
      const ids = own.map(({ headers }) => Number(headers['sluice-id']))
      assert.deepEqual(
        ids,
        [...ids].sort((a, b) => a - b),
      )
    }
  })
}
