import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventFault, Fault } from '../../../src/kafka/fault.ts'
import { partitionOfKey } from '../../../src/kafka/partitioner.ts'
import { type PartitionList, PublishBatch } from '../../../src/kafka/publish-batch.ts'
import type { OutboxEvent } from '../../../src/outbox/event.ts'
import type { Outcome } from '../../../src/relay/producer.ts'
import { sampleEvents } from '../../contract/sample-event.ts'

const tooLarge: EventFault = {
  of: 'event',
  code: 'message_too_large',
  message: 'too large',
  permanent: true,
}
const reset: Fault = {
  of: 'way',
  code: 'reset',
  message: 'the connection was reset',
  fault: 'broker',
  scope: 'cluster',
}
const missing: Fault = { ...reset, code: 'UNKNOWN_TOPIC_OR_PARTITION', scope: 'topic' }

/** Events of one topic with these keys. */
function batchOf(...keys: (string | null)[]): PublishBatch {
  return new PublishBatch(sampleEvents(keys.map(key => ({ key }))))
}

function codes(outcomes: readonly Outcome[]): string[] {
  return outcomes.map(outcome => (outcome.kind === 'acked' ? outcome.offset : outcome.code))
}

test('each event has one outcome, in the order of the batch', () => {
  const work = batchOf('a', 'b', 'c')
  work.ack(2, 4, 9_007_199_254_740_993n)
  work.reject(0, tooLarge)
  work.fail([1], reset)
  assert.deepEqual(work.outcomes, [
    { kind: 'rejected', code: 'message_too_large', message: 'too large', permanent: true },
    {
      kind: 'unknown',
      code: 'reset',
      message: 'the connection was reset',
      fault: 'broker',
      scope: 'cluster',
    },
    { kind: 'acked', partition: 4, offset: '9007199254740993' },
  ])
})

test('an event that was never tried is held, through nobody’s fault', () => {
  const [outcome] = batchOf('a').outcomes
  assert.ok(outcome?.kind === 'unknown')
  assert.deepEqual([outcome.code, outcome.fault], ['key_held', 'held'])
})

test('a rejected event holds the later ones of its key, and no others', () => {
  const work = batchOf('a', 'b', 'a')
  work.reject(0, tooLarge)
  assert.deepEqual(
    [0, 1, 2].map(index => work.isOpen(index)),
    [false, true, false],
  )
})

test('an event with an unknown outcome holds the later ones of its key, and no others', () => {
  const work = batchOf('a', 'b', 'a')
  work.fail([0], reset)
  assert.deepEqual(
    [0, 1, 2].map(index => work.isOpen(index)),
    [false, true, false],
  )
})

test('an acknowledged event is settled and holds nothing', () => {
  const work = batchOf('a', 'a')
  work.ack(0, 0, 5n)
  assert.deepEqual([work.isOpen(0), work.isOpen(1)], [false, true])
  work.failAll(reset)
  assert.deepEqual(codes(work.outcomes), ['5', 'reset'])
})

test('events without a key hold nothing, and the empty key holds only itself', () => {
  const work = batchOf(null, null, '', '')
  work.reject(0, tooLarge)
  assert.deepEqual(
    [1, 2, 3].map(index => work.isOpen(index)),
    [true, true, true],
  )
  work.reject(2, tooLarge)
  assert.deepEqual(
    [1, 3].map(index => work.isOpen(index)),
    [true, false],
  )
})

test('a held key holds nothing of the same key in another topic', () => {
  const work = new PublishBatch(
    sampleEvents([
      { topic: 'orders', key: 'b c' },
      { topic: 'payments', key: 'b c' },
      { topic: 'orders', key: 'c' },
    ]),
  )
  work.reject(0, tooLarge)
  assert.deepEqual(
    [1, 2].map(index => work.isOpen(index)),
    [true, true],
  )
})

test('when the way fails, the first open event of a key tells why and the rest is held behind it', () => {
  const work = batchOf('a', 'a', 'b', null, null)
  work.reject(2, tooLarge)
  work.failAll(reset)
  assert.deepEqual(codes(work.outcomes), [
    'reset',
    'key_held',
    'message_too_large',
    'reset',
    'reset',
  ])
})

test('an event whose headers are invalid is refused before anything is sent', () => {
  const bad = { headersJson: '{"n":1}' }
  const events = sampleEvents([
    { key: 'a' },
    { key: 'a', ...bad },
    { key: 'a' },
    { key: 'b' },
    { key: null, ...bad },
    { key: null },
  ])
  const work = new PublishBatch(events)
  const refused = work.outcomes[1]
  assert.ok(refused?.kind === 'rejected')
  assert.deepEqual([refused.code, refused.permanent], ['invalid_headers', true])
  const open = [...events.keys()].filter(index => work.isOpen(index))
  assert.deepEqual(open, [0, 3, 5], 'those before it and those of other keys')
})

test('a key is held from its first event that was not acknowledged, in whatever order they fail', () => {
  const work = batchOf('a', 'a', 'a', 'a')
  work.reject(3, tooLarge)
  work.reject(1, tooLarge)
  assert.deepEqual(
    [0, 2].map(index => work.isOpen(index)),
    [true, false],
  )
})

test('events are listed by partition, each list in the order of the batch', () => {
  const keys = Array.from({ length: 60 }, (_, n) => `k${n % 20}`)
  const work = batchOf(...keys)
  const lists = work.byPartition(new Map([['orders', 4]]))
  const listed = lists.flatMap(({ indices }) => indices)
  assert.deepEqual(
    [...listed].sort((a, b) => a - b),
    [...keys.keys()],
  )
  for (const { topic, partition, indices } of lists) {
    assert.equal(topic, 'orders')
    assert.deepEqual(
      indices,
      [...indices].sort((a, b) => a - b),
    )
    for (const index of indices) assert.equal(partitionOfKey(keys[index] ?? '', 4), partition)
  }
})

test('the same partition of two topics makes two lists', () => {
  const work = new PublishBatch(sampleEvents([{ topic: 'one' }, { topic: 'two' }]))
  const lists = work.byPartition(
    new Map([
      ['one', 1],
      ['two', 1],
    ]),
  )
  assert.deepEqual(
    lists.map(({ topic, partition, indices }) => ({ topic, partition, indices })),
    [
      { topic: 'one', partition: 0, indices: [0] },
      { topic: 'two', partition: 0, indices: [1] },
    ],
  )
})

const naming = (partition: number) => ({
  headersJson: JSON.stringify({ 'sluice-partition': String(partition) }),
})
const shown = (lists: readonly PartitionList[]) =>
  lists.map(({ partition, round, indices }) => [partition, round, indices.join()])

test('a key’s events that name several partitions come in rounds, all others side by side', () => {
  const work = new PublishBatch(
    sampleEvents([
      { key: 'a', ...naming(0) },
      { key: 'a', ...naming(2) },
      { key: 'b', ...naming(2) },
      { key: 'a', ...naming(2) },
      { key: 'a', ...naming(0) },
      { key: null, ...naming(0) },
      { key: null, ...naming(2) },
      { key: 'b', ...naming(2) },
    ]),
  )
  assert.deepEqual(shown(work.byPartition(new Map([['orders', 3]]))), [
    [0, 0, '0,5'],
    [2, 0, '2,6,7'],
    [2, 1, '1,3'],
    [0, 2, '4'],
  ])
})

test('a named partition that the topic does not have is refused for good, and makes no list', () => {
  const work = new PublishBatch(sampleEvents([{ key: 'a' }, { key: 'a', ...naming(3) }]))
  assert.deepEqual([...work.partitionsNamed()], [['orders', 4]])
  assert.equal(work.byPartition(new Map([['orders', 3]])).flatMap(each => each.indices).length, 1)
  const refused = work.outcomes[1]
  assert.ok(refused?.kind === 'rejected')
  assert.deepEqual([refused.code, refused.permanent], ['invalid_partition', true])
  assert.match(refused.message, /names partition 3, the topic's highest is 2/)
})

test('a batch that names no partition takes nothing for granted of its topics', () => {
  assert.equal(batchOf('a', null).partitionsNamed().size, 0)
})

test('events of a topic that cannot be looked up have its fault, the others are listed', () => {
  const work = new PublishBatch(
    sampleEvents([
      { topic: 'missing', key: 'a' },
      { topic: 'orders', key: 'a' },
      { topic: 'missing', key: 'a' },
    ]),
  )
  const partitions = new Map<string, number | Fault>([
    ['missing', missing],
    ['orders', 1],
  ])
  const lists = work.byPartition(partitions)
  assert.deepEqual(
    lists.map(({ indices }) => indices),
    [[1]],
  )
  const [first, second, third] = work.outcomes
  assert.ok(first?.kind === 'unknown' && third?.kind === 'unknown')
  assert.deepEqual([first.code, first.scope], ['UNKNOWN_TOPIC_OR_PARTITION', 'topic'])
  assert.ok(second?.kind === 'unknown' && second.fault === 'held', 'it was not tried yet')
  assert.ok(work.isOpen(1))
})

test('the topics of a batch are named once each', () => {
  const events: OutboxEvent[] = sampleEvents([{ topic: 'a' }, { topic: 'b' }, { topic: 'a' }])
  assert.deepEqual([...new PublishBatch(events).topics()], ['a', 'b'])
})

test('an empty batch has no outcome and no topic', () => {
  const work = new PublishBatch([])
  work.failAll(reset)
  assert.deepEqual([work.outcomes, work.topics().size], [[], 0])
})
