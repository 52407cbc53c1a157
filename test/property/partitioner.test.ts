import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { murmur2, partitionOfKey, partitionOfKeyless } from '../../src/kafka/partitioner.ts'

const MASK = 0xffff_ffffn
const M = 0x5bd1_e995n

/** `Utils.murmur2` of Apache Kafka, word for word, with whole numbers cut to 32 bits. */
function reference(data: Uint8Array): bigint {
  const at = (index: number) => BigInt(data[index]!)
  let h = (0x9747_b28cn ^ BigInt(data.length)) & MASK
  const words = Math.floor(data.length / 4)
  for (let word = 0; word < words; word++) {
    const i = word * 4
    let k = at(i) + (at(i + 1) << 8n) + (at(i + 2) << 16n) + (at(i + 3) << 24n)
    k = (k * M) & MASK
    k ^= k >> 24n
    k = (k * M) & MASK
    h = ((h * M) & MASK) ^ k
  }
  const rest = data.length % 4
  if (rest >= 3) h ^= at(words * 4 + 2) << 16n
  if (rest >= 2) h ^= at(words * 4 + 1) << 8n
  if (rest >= 1) h = ((h ^ at(words * 4)) * M) & MASK
  h ^= h >> 13n
  h = (h * M) & MASK
  return h ^ (h >> 15n)
}

test('any bytes have the hash that whole numbers give', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), data => {
      assert.equal(BigInt.asUintN(32, BigInt(murmur2(data))), reference(data))
    }),
    { numRuns: 2_000 },
  )
})

test('any key has the partition that its UTF-8 bytes have, whatever their number', () => {
  const keys = fc.string({ unit: 'binary', maxLength: 60 })
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 100_000 }), (key, partitions) => {
      const hash = reference(Buffer.from(key, 'utf8')) & 0x7fff_ffffn
      assert.equal(partitionOfKey(key, partitions), Number(hash % BigInt(partitions)))
    }),
    { numRuns: 2_000 },
  )
})

test('an event without a key has a partition of its topic, also beyond 2^53', () => {
  const ids = fc.bigInt({ min: 1n, max: 2n ** 63n - 1n })
  fc.assert(
    fc.property(ids, fc.integer({ min: 1, max: 100_000 }), (id, partitions) => {
      const partition = partitionOfKeyless(String(id), partitions)
      assert.ok(Number.isInteger(partition) && partition >= 0 && partition < partitions)
      assert.equal(partition, Number(id % BigInt(partitions)))
    }),
  )
})
