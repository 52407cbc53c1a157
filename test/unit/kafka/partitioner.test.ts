import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Partitioners } from 'kafkajs'
import { murmur2, partitionOfKey, partitionOfKeyless } from '../../../src/kafka/partitioner.ts'

const partitioner = Partitioners.DefaultPartitioner()

/** What kafkajs, and thus Java's client, would choose. */
function theirs(key: string, partitions: number): number {
  const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
    partitionErrorCode: 0,
    partitionId,
    leader: 0,
    replicas: [0],
    isr: [0],
  }))
  return partitioner({ topic: 't', partitionMetadata, message: { key, value: null } })
}

test('the hash is the one of the Java client', () => {
  // The vectors of Apache Kafka's own test, UtilsTest.testMurmur2.
  const vectors: ReadonlyArray<[string, number]> = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ]
  for (const [text, hash] of vectors) assert.equal(murmur2(Buffer.from(text)), hash, text)
})

test('every key goes to the partition that kafkajs would choose', () => {
  const keys = fc.oneof(
    fc.constant(''),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.string({ unit: 'grapheme-ascii', minLength: 200, maxLength: 5_000 }),
  )
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 200 }), (key, partitions) => {
      assert.equal(partitionOfKey(key, partitions), theirs(key, partitions))
    }),
    { numRuns: 3_000 },
  )
})

test('a key whose hash is negative has a partition like any other', () => {
  assert.equal(partitionOfKey('21', 10), theirs('21', 10))
  assert.ok(partitionOfKey('21', 10) >= 0)
})

test('an event without a key has one partition for good, also with an id beyond 2^53', () => {
  assert.equal(partitionOfKeyless('9223372036854775807', 10), 7)
  assert.equal(partitionOfKeyless('9223372036854775806', 10), 6)
  assert.equal(partitionOfKeyless('5', 1), 0)
})
