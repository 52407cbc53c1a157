import assert from 'node:assert/strict'
import { test } from 'node:test'
import { topicFault } from '../../../src/outbox/topic-name.ts'

test('a topic of letters, digits, dots, underscores and hyphens is legal', () => {
  for (const topic of ['orders', 'a', 'Shop.orders_v2-eu', '...', '_one', 'x'.repeat(249)]) {
    assert.equal(topicFault(topic), null, topic)
  }
})

test('a topic that Kafka refuses, or keeps for itself, has a fault', () => {
  const illegal = [
    '',
    '.',
    '..',
    'x'.repeat(250),
    'a b',
    'a/b',
    'ordérs',
    'a\0',
    'a\n',
    '__offsets',
  ]
  for (const topic of illegal) assert.notEqual(topicFault(topic), null, JSON.stringify(topic))
})
