import assert from 'node:assert/strict'
import { test } from 'node:test'
import { printKafkaTopics } from '../../../src/cli/inspect-text.ts'
import { TopicRange } from '../../../src/operator/topic-range.ts'

test('partitions without a leader or with replicas behind are told of', () => {
  const partition = { partition: 0, leader: 1, replicas: 3, in_sync: 3, low: '0', high: '10' }
  const broken = { ...partition, partition: 1, leader: null, in_sync: 1, low: null, high: null }
  const list = {
    topics: [
      { topic: 'a', partitions: [partition], records: 10 },
      { topic: 'b', partitions: [partition, broken], records: null },
    ],
    left_out: 3,
  }
  const text = printKafkaTopics(list, false)
  assert.match(text, /^a +1 +3 +10$/m)
  assert.match(text, /^b +2 +3 +\? +1 without leader, 1 with replicas not in sync$/m)
  assert.match(text, /^3 more topics; give their names\.$/m)
  assert.match(printKafkaTopics(list, true), /^1 +none +1 of 3 +\? +\?$/m)
})

test('a range takes each of its offsets once and ends when all have come', () => {
  const range = new TopicRange()
  range.add(0, 5, 8)
  range.add(1, 3, 3)
  assert.deepEqual(range.open, [{ partition: 0, next: 5 }])
  assert.deepEqual(
    [4, 5, 5, 6, 8].map(offset => range.takes(0, offset)),
    [false, true, false, true, false],
  )
  assert.equal(range.takes(1, 3), false)
  range.reached(0, 3)
  assert.deepEqual(range.open, [{ partition: 0, next: 7 }])
  range.reached(0, 7)
  assert.deepEqual(range.open, [])
})
