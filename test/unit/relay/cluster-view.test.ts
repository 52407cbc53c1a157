import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PartitionCounts } from '../../../src/relay/cluster-view.ts'

const count = (partitions: number, learntAtMs: number) => ({
  topic: 'orders',
  partitions,
  learntAtMs,
})

test('the greatest count of a topic is kept, whoever reports last', () => {
  const counts = new PartitionCounts()
  counts.note([count(3, 1_000)])
  counts.note([count(6, 900)])
  counts.note([count(3, 1_001)])
  assert.deepEqual(counts.of(['orders', 'unheard-of']), [count(6, 900)])
})

test('a lower count that was learnt long after is that of a new topic', () => {
  const counts = new PartitionCounts()
  counts.note([count(6, 1_000), count(2, 5_999)])
  assert.deepEqual(counts.of(['orders']), [count(6, 1_000)])
  counts.note([count(2, 6_000)])
  assert.deepEqual(counts.of(['orders']), [count(2, 6_000)])
})
