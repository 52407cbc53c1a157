import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SluiceError } from '../../../src/errors.ts'
import { type NewEvent, toRecord } from '../../../src/outbox/new-event.ts'

const good = { topic: 'orders', eventType: 'OrderPlaced' }
const SECRET = 'hunter2'

function refused(event: unknown, field: string, message: RegExp): void {
  assert.throws(
    () => toRecord(event as NewEvent, 'events[3]'),
    (error: unknown) => {
      assert.ok(error instanceof SluiceError)
      assert.equal(error.code, 'event')
      assert.equal(error.details.field, field)
      assert.ok(error.message.startsWith(field === '' ? 'events[3] ' : `events[3].${field} `))
      assert.match(error.message, message)
      assert.ok(!error.message.includes(SECRET))
      assert.equal(error.cause, undefined)
      return true
    },
  )
}

const cyclic: Record<string, unknown> = { name: SECRET }
cyclic[SECRET] = cyclic
let deep: unknown = []
for (let depth = 0; depth < 100_000; depth++) deep = [deep]

const badEvents: ReadonlyArray<[string, unknown, string, RegExp]> = [
  ['null', null, '', /is null.*object with topic/],
  ['a string', SECRET, '', /a string of 7 characters/],
  ['an array', [good], '', /an array of 1/],
  ['an unknown field', { ...good, paylaod: 1 }, 'paylaod', /not a field.*payloadJson/],
  ['no topic', { eventType: 'A' }, 'topic', /missing/],
  ['a numeric topic', { ...good, topic: 7 }, 'topic', /a number/],
  ['an illegal topic', { ...good, topic: 'a b' }, 'topic', /character other than/],
  ['an internal topic', { ...good, topic: '__x' }, 'topic', /reserved/],
  ['no event type', { topic: 'orders' }, 'eventType', /missing/],
  ['an empty event type', { ...good, eventType: '' }, 'eventType', /empty/],
  ['a NUL in the event type', { ...good, eventType: 'a\0' }, 'eventType', /NUL/],
  ['a numeric key', { ...good, key: 17 }, 'key', /a number.*String/],
  ['a NUL in the key', { ...good, key: 'a\0b' }, 'key', /NUL/],
  ['half a surrogate pair in the key', { ...good, key: 'a\ud800' }, 'key', /surrogate/],
  ['payload and payloadJson', { ...good, payload: 1, payloadJson: '1' }, 'payloadJson', /besides/],
  [
    'payload and payloadBytes',
    { ...good, payload: null, payloadBytes: new Uint8Array() },
    'payloadBytes',
    /besides payload/,
  ],
  ['a function as payload', { ...good, payload: () => SECRET }, 'payload', /a function/],
  ['a symbol as payload', { ...good, payload: Symbol(SECRET) }, 'payload', /a symbol/],
  ['a toJSON of undefined', { ...good, payload: { toJSON() {} } }, 'payload', /leaves out/],
  [
    'a BigInt in the payload',
    { ...good, payload: { total: 1n } },
    'payload',
    /BigInt.*payloadJson/,
  ],
  ['a cyclic payload', { ...good, payload: cyclic }, 'payload', /cycle/],
  ['a payload that is too deep', { ...good, payload: deep }, 'payload', /deep/],
  [
    'a throwing toJSON',
    {
      ...good,
      payload: {
        toJSON() {
          throw new SyntaxError(SECRET)
        },
      },
    },
    'payload',
    /threw SyntaxError/,
  ],
  ['bytes as payload', { ...good, payload: Buffer.from(SECRET) }, 'payload', /payloadBytes/],
  ['a buffer as payload', { ...good, payload: new ArrayBuffer(1) }, 'payload', /payloadBytes/],
  ['payloadJson not JSON', { ...good, payloadJson: `{${SECRET}` }, 'payloadJson', /not valid JSON/],
  ['payloadJson as object', { ...good, payloadJson: {} }, 'payloadJson', /an object/],
  ['payloadJson null', { ...good, payloadJson: null }, 'payloadJson', /missing \(null\)/],
  ['half a pair in payloadJson', { ...good, payloadJson: '"\udc00"' }, 'payloadJson', /surrogate/],
  ['a string as bytes', { ...good, payloadBytes: SECRET }, 'payloadBytes', /Uint8Array/],
  ['headers as array', { ...good, headers: ['a'] }, 'headers', /array/],
  ['headers as Map', { ...good, headers: new Map([['a', 'b']]) }, 'headers', /Map/],
  ['headers as Headers', { ...good, headers: new Headers({ a: 'b' }) }, 'headers', /Headers/],
  ['a numeric header', { ...good, headers: { ok: '', n: 1 } }, 'headers["n"]', /a number/],
  ['an undefined header', { ...good, headers: { n: undefined } }, 'headers["n"]', /missing/],
  ['a NUL in a header', { ...good, headers: { n: '\0' } }, 'headers["n"]', /NUL/],
  ['a NUL in a name', { ...good, headers: { 'n\0': '' } }, 'headers["n\\u0000"]', /name.*NUL/],
  ['header event_id', { ...good, headers: { event_id: '' } }, 'headers["event_id"]', /by Sluice/],
  [
    'header event_type',
    { ...good, headers: { event_type: '' } },
    'headers["event_type"]',
    /by Slu/,
  ],
  ['header sluice-id', { ...good, headers: { 'sluice-id': '' } }, 'headers["sluice-id"]', /by Slu/],
  [
    'a partition that is no number',
    { ...good, headers: { 'sluice-partition': '-1' } },
    'headers["sluice-partition"]',
    /digits/,
  ],
  ['an eventId not a UUID', { ...good, eventId: SECRET }, 'eventId', /not a UUID/],
  ['an invalid notBefore', { ...good, notBefore: new Date('x') }, 'notBefore', /invalid Date/],
  ['a textual notBefore', { ...good, notBefore: '2030-01-01' }, 'notBefore', /give a Date/],
  ['a far expiresAt', { ...good, expiresAt: new Date(8.64e15) }, 'expiresAt', /year 275760/],
  [
    'expiresAt at notBefore',
    { ...good, notBefore: new Date(5), expiresAt: new Date(5) },
    'expiresAt',
    /not after notBefore/,
  ],
]
for (const [name, event, field, message] of badEvents) {
  test(`an event is refused with the field's name and without its content: ${name}`, () =>
    refused(event, field, message))
}

test('an event with only a topic and a type is a tombstone without a key', () => {
  const record = toRecord({ ...good, key: undefined, payload: undefined }, 'event')
  assert.match(record.event_id, /^[0-9a-f-]{36}$/)
  assert.deepEqual(record, {
    event_id: record.event_id,
    topic: 'orders',
    key: null,
    event_type: 'OrderPlaced',
    payload: null,
    payload_base64: null,
    headers: {},
    not_before: null,
    expires_at: null,
  })
})

test('null, false, 0 and the empty string are payloads, and the empty string is a key', () => {
  for (const payload of [null, false, 0, '']) {
    const record = toRecord({ ...good, key: '', payload }, 'event')
    assert.equal(record.payload, JSON.stringify(payload))
    assert.equal(record.key, '')
  }
})

test('bytes are taken from the view, not from the whole buffer under it', () => {
  const view = new Uint8Array([9, 1, 2, 9]).subarray(1, 3)
  assert.equal(toRecord({ ...good, payloadBytes: view }, 'event').payload_base64, 'AQI=')
})

test('an event id is kept, in the lower case that PostgreSQL gives back', () => {
  const eventId = '0191E4B2-0000-7000-8000-00000000000A'
  assert.equal(toRecord({ ...good, eventId }, 'event').event_id, eventId.toLowerCase())
})
