import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeRecord } from '../../../src/kafka/record.ts'
import { sampleEvent } from '../../contract/sample-event.ts'

const require = createRequire(import.meta.url)
const encodeByKafkajs = require('kafkajs/src/protocol/recordBatch/record/v0') as (
  record: object,
) => { size(): number }

test('a record has the event’s key, its payload as bytes and its own headers', () => {
  const event = sampleEvent({ id: '9007199254740993', key: 'ключ', payload: '{"a": 1.50}' })
  const { record } = encodeRecord(event)
  assert.equal(record.key, 'ключ')
  assert.deepEqual(record.value, Buffer.from('{"a": 1.50}'))
  assert.deepEqual(record.headers, {
    event_id: event.eventId,
    event_type: 'OrderPlaced',
    'sluice-id': '9007199254740993',
  })
})

test('bytes are published as they are, also those in the middle of a larger buffer', () => {
  const large = Uint8Array.from([1, 2, 104, 0, 255, 3])
  const { record } = encodeRecord(sampleEvent({ payload: large.subarray(2, 5) }))
  assert.ok(Buffer.isBuffer(record.value))
  assert.deepEqual([...record.value], [104, 0, 255])
})

test('a tombstone has no value, an empty payload an empty one', () => {
  assert.equal(encodeRecord(sampleEvent({ payload: null })).record.value, null)
  for (const payload of ['', new Uint8Array()]) {
    assert.deepEqual(encodeRecord(sampleEvent({ payload })).record.value, Buffer.alloc(0))
  }
})

test('an event without a key has a record without one, and an empty key is a key', () => {
  assert.equal(encodeRecord(sampleEvent({ key: null })).record.key, null)
  assert.equal(encodeRecord(sampleEvent({ key: '' })).record.key, '')
})

test('the row’s headers go along, but cannot forge those of Sluice', () => {
  const forged = { source: 'shop', event_id: 'forged', event_type: 'forged', 'sluice-id': '0' }
  const event = sampleEvent({ headersJson: JSON.stringify(forged) })
  assert.deepEqual(encodeRecord(event).record.headers, {
    source: 'shop',
    event_id: event.eventId,
    event_type: event.eventType,
    'sluice-id': event.id,
  })
})

test('headers that are no object of strings are refused with the name, never the value', () => {
  const bad: ReadonlyArray<[string, RegExp]> = [
    ['{"n":12345}', /^header "n" must be a string, it is a number$/],
    ['{"ok":"x","n":null}', /^header "n" must be a string, it is null$/],
    ['{"n":["12345"]}', /^header "n" must be a string, it is an array$/],
    ['{"n":{"a":12345}}', /^header "n" must be a string, it is a object$/],
    ['12345, no JSON', /must be JSON/],
    ['[]', /must be a JSON object/],
    ['null', /must be a JSON object/],
    ['"12345"', /must be a JSON object/],
  ]
  for (const [headersJson, message] of bad) {
    assert.throws(
      () => encodeRecord(sampleEvent({ headersJson })),
      (error: unknown) => {
        assert.ok(error instanceof TypeError)
        assert.match(error.message, message)
        assert.doesNotMatch(error.message, /12345/)
        return true
      },
    )
  }
})

test('the size that is reckoned with is never below the one on the wire', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 300 })
  const name = fc.string({ unit: 'grapheme', maxLength: 6 })
  const payloads = fc.oneof(text, fc.uint8Array({ maxLength: 300 }), fc.constant(null))
  fc.assert(
    fc.property(
      fc.option(text),
      payloads,
      fc.dictionary(name, name, { maxKeys: 60 }),
      (key, payload, headers) => {
        const event = sampleEvent({ key, payload, headersJson: JSON.stringify(headers) })
        const { record, bytes } = encodeRecord(event)
        const onTheWire = encodeByKafkajs({ ...record, offsetDelta: 1_000, timestampDelta: 1_000 })
        assert.ok(onTheWire.size() <= bytes, `${onTheWire.size()} on the wire, ${bytes} reckoned`)
      },
    ),
  )
})
