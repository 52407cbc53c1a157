import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refusalOf } from '../../../src/relay/refusal.ts'
import { sampleEvent } from '../../contract/sample-event.ts'

test('an event that may be sent is not refused', () => {
  assert.equal(refusalOf(sampleEvent()), null)
  assert.equal(refusalOf(sampleEvent({ key: null, payload: null, attempts: 5 })), null)
})

test('an event whose time was over when it was read is refused for good', () => {
  const { message, ...refusal } = refusalOf(sampleEvent({ expired: true })) ?? {}
  assert.deepEqual(refusal, { kind: 'rejected', code: 'expired', permanent: true })
  assert.match(String(message), /expires_at/)
})

test('a topic that Kafka would refuse, or keeps for itself, is refused for good', () => {
  for (const topic of ['', '..', 'no spaces', '__consumer_offsets', 'x'.repeat(250)]) {
    const { message, ...refusal } = refusalOf(sampleEvent({ topic })) ?? {}
    assert.deepEqual(refusal, { kind: 'rejected', code: 'invalid_topic', permanent: true }, topic)
    assert.notEqual(message, '')
  }
})

test('an event whose payload was too large to be read is refused for good, with its size', () => {
  const refusal = refusalOf(sampleEvent({ payload: null, oversizedBytes: 300_000_000 }))
  assert.equal(refusal?.code, 'message_too_large')
  assert.equal(refusal?.permanent, true)
  assert.match(refusal?.message ?? '', /300000000 bytes/)
})
