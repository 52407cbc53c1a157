import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { OutboxEvent } from '../../../src/outbox/event.ts'
import type { Outcome } from '../../../src/relay/producer.ts'
import {
  decodeBatch,
  decodeOutcomes,
  encodeBatch,
  encodeOutcomes,
} from '../../../src/relay/thread-message.ts'
import { sampleEvents } from '../../contract/sample-event.ts'

/** What a thread receives: copied as `postMessage` copies, the payloads moved. */
function sent(events: readonly OutboxEvent[], untilMs = 12.5): OutboxEvent[] {
  const message = encodeBatch(events, untilMs)
  const received = structuredClone(message, { transfer: [message.payloads] })
  assert.equal(received.untilMs, untilMs)
  return decodeBatch(received)
}

function bytesOf(payload: OutboxEvent['payload']): Uint8Array | null {
  if (payload === null) return null
  return typeof payload === 'string' ? new TextEncoder().encode(payload) : payload
}

const text = fc.string({ unit: 'binary', maxLength: 50 })
const payload = fc.oneof(
  fc.constant(null),
  fc.constant(''),
  text,
  fc.constantFrom('\ud800', 'a\udc00b', '😀é', '\0'),
  fc.uint8Array({ maxLength: 50 }),
)
const event = fc.record({
  lane: fc.integer({ min: 0, max: 63 }),
  id: fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }).map(String),
  eventId: fc.uuid(),
  topic: text,
  key: fc.option(text),
  eventType: text,
  payload,
  headersJson: fc.constantFrom('{}', '{"a":"é"}', '[]', 'no JSON at all'),
})

test('what a producer needs of a batch arrives as it was sent, payloads as the bytes they mean', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 20 }), fields => {
      const events = sampleEvents(fields)
      const received = sent(events)
      assert.equal(received.length, events.length)
      for (const [index, given] of events.entries()) {
        const { lane, id, eventId, topic, key, eventType, headersJson } = given
        const expected = { lane, id, eventId, topic, key, eventType, headersJson }
        const { payload: arrived, attempts, ageMs, expired, ...others } = received[index]!
        assert.deepEqual(others, expected)
        assert.deepEqual(arrived && Uint8Array.from(arrived as Uint8Array), bytesOf(given.payload))
        assert.deepEqual({ attempts, ageMs, expired }, BLANK)
      }
    }),
    { numRuns: 500 },
  )
})

const BLANK = { attempts: 0, ageMs: 0, expired: false }

test('a tombstone stays one, also between payloads that are empty', () => {
  const events = sampleEvents([null, '', 'a', null, '', 'b'].map(each => ({ payload: each })))
  const received = sent(events).map(({ payload: arrived }) => arrived && [...arrived])
  assert.deepEqual(received, [null, [], [97], null, [], [98]])
})

test('the payloads of a batch are moved to the thread, not copied', () => {
  const message = encodeBatch(sampleEvents([{ payload: 'abc' }]), 0)
  structuredClone(message, { transfer: [message.payloads] })
  assert.equal(message.payloads.byteLength, 0)
})

test('bytes in the middle of a larger buffer arrive without their neighbours', () => {
  const large = Uint8Array.from([1, 2, 3, 4, 5])
  const [received] = sent(sampleEvents([{ payload: large.subarray(1, 3) }]))
  assert.deepEqual([...(received?.payload ?? [])], [2, 3])
})

/** A clone has the ordinary prototype. */
const PLAIN = { noNullPrototype: true }

const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  fc.record(
    {
      kind: fc.constant('acked' as const),
      partition: fc.nat(),
      offset: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String),
    },
    PLAIN,
  ),
  fc.record(
    {
      kind: fc.constant('rejected' as const),
      code: fc.constantFrom('message_too_large', 'invalid_headers'),
      message: text,
      permanent: fc.boolean(),
    },
    PLAIN,
  ),
  fc.record(
    {
      kind: fc.constant('unknown' as const),
      code: fc.constantFrom('timeout', 'key_held'),
      message: fc.constantFrom('one', 'two'),
      fault: fc.constantFrom('broker' as const, 'producer' as const, 'held' as const),
      scope: fc.constantFrom('cluster' as const, 'topic' as const),
    },
    PLAIN,
  ),
)

test('outcomes come back as they were given, in their order', () => {
  fc.assert(
    fc.property(fc.array(outcome, { maxLength: 40 }), outcomes => {
      const message = structuredClone(encodeOutcomes(outcomes))
      assert.deepEqual(decodeOutcomes(message), outcomes)
    }),
    { numRuns: 500 },
  )
})

test('a fault that a thousand events share crosses once', () => {
  const failed: Outcome = {
    kind: 'unknown',
    code: 'timeout',
    message: 'no answer',
    fault: 'broker',
    scope: 'cluster',
  }
  const outcomes = Array.from({ length: 1_000 }, () => ({ ...failed }))
  assert.equal(encodeOutcomes(outcomes).faults.length, 1)
})
