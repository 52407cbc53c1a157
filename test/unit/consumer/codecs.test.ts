import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Codec } from '../../../src/consumer/codec.ts'
import { bytesCodec, jsonCodec, textCodec } from '../../../src/consumer/codecs.ts'
import { BadMessage } from '../../../src/consumer/outcome.ts'
import { sourceRecord } from './source-record.ts'

function decode<T>(codec: Codec<T>, value: Buffer | string | null): T {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  return codec.decode(bytes, sourceRecord({ value: bytes }))
}

test('JSON is parsed and handed to the check, whose result is the value', () => {
  const codec = jsonCodec(value => ({ total: Number((value as { total: string }).total) }))
  assert.deepEqual(decode(codec, '{"total":"17"}'), { total: 17 })
})

test('what the check throws comes through', () => {
  const codec = jsonCodec(() => {
    throw new RangeError('total is negative')
  })
  assert.throws(() => decode(codec, '{}'), /total is negative/)
})

test('a value that is not JSON, or not UTF-8, is bad, and the error does not quote it', () => {
  for (const value of ['{"card":"4111"', Buffer.from([0x22, 0xff, 0x22])]) {
    assert.throws(
      () => decode(jsonCodec(), value),
      error => error instanceof BadMessage && !error.message.includes('4111') && !error.cause,
    )
  }
})

test('a tombstone is bad, or null where that is wanted, and the check does not see it', () => {
  const check = () => assert.fail('the check was called')
  for (const codec of [jsonCodec(check), textCodec(), bytesCodec()] as Codec<unknown>[]) {
    assert.throws(() => decode(codec, null), BadMessage)
  }
  const taking = { tombstone: 'null' } as const
  assert.equal(decode(jsonCodec(check, taking), null), null)
  assert.equal(decode(textCodec(taking), null), null)
  assert.equal(decode(bytesCodec(taking), null), null)
})

test('an empty value is no tombstone', () => {
  assert.equal(decode(textCodec(), ''), '')
  assert.equal(decode(bytesCodec(), '').length, 0)
  assert.throws(() => decode(jsonCodec(), ''), BadMessage)
})
