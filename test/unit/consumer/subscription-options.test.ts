import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SubscribeOptions } from '../../../src/consumer/bus.ts'
import { batchSizeOf, settingsOf } from '../../../src/consumer/subscription-options.ts'
import { SluiceError } from '../../../src/errors.ts'
import { recordOf } from '../../support/in-memory-source.ts'

const codec = { decode: () => null }
const given = (more: object = {}) =>
  ({ group: 'billing', topics: ['orders'], codec, ...more }) as SubscribeOptions

test('every option has its documented default', () => {
  const { codec: _, envelope, classify, listener, ...plain } = settingsOf(given())
  assert.deepEqual(plain, {
    group: 'billing',
    topics: ['orders'],
    order: 'key',
    concurrency: 8,
    dedup: 'inbox',
    retry: { baseMs: 1_000, maxMs: 300_000 },
    attemptsMax: 10,
    ttlMs: null,
    handlerTimeoutMs: 60_000,
    needs: [],
    onBad: 'deadLetter',
    deadLetterTopic: null,
    missingTopic: 'fail',
    from: 'earliest',
    redeliver: 'inPlace',
    retryTopic: null,
    limits: { perKey: 10_000, perGroup: 1_000_000 },
    inboxRetentionMs: null,
    joinTimeoutMs: 60_000,
  })
  assert.equal(envelope.id(recordOf({ offset: 1, id: 'x' })), 'x')
  assert.equal(envelope.type(recordOf({ offset: 1, type: 'T' })), 'T')
  assert.equal(classify(new Error('x')), undefined)
  assert.deepEqual(listener, {})
  assert.equal(batchSizeOf({}), 500)
})

test('what is given is kept', () => {
  const more = {
    order: 'none',
    redeliver: 'reproduce',
    retry: { baseMs: 5, maxMs: 7 },
    ttlMs: 9,
    needs: ['payments', 'payments'],
    limits: { perKey: 1, perGroup: 2 },
    deadLetterTopic: 'dead',
  }
  const settings = settingsOf(given(more))
  assert.equal(settings.retryTopic, 'orders.billing.retry')
  assert.deepEqual(settings.retry, { baseMs: 5, maxMs: 7 })
  assert.equal(settings.ttlMs, 9)
  assert.deepEqual(settings.needs, ['payments'])
  assert.deepEqual(settings.limits, { perKey: 1, perGroup: 2 })
  assert.equal(settings.deadLetterTopic, 'dead')
})

const REFUSED: [string, object, RegExp][] = [
  ['group', { group: '' }, /^group is empty: give/],
  ['group', { group: 7 }, /^group is a number: give/],
  ['group', { group: 'a\0b' }, /^group holds a control character: remove it/],
  ['topics', { topics: 'orders' }, /^topics is a string of 6 characters: give an array/],
  ['topics', { topics: [] }, /^topics is an array of 0: give/],
  ['topics[1]', { topics: ['a', 'b c'] }, /^topics\[1\] holds a character/],
  ['topics[1]', { topics: ['a', 'a'] }, /^topics\[1\] is there twice/],
  ['codec', { codec: undefined }, /^codec is undefined: give an object with decode/],
  ['envelope', { envelope: { id: () => 'x' } }, /^envelope is an object: give/],
  ['order', { order: 'random' }, /^order is a string of 6 characters: give one of 'key', 'part/],
  ['concurrency', { concurrency: 0 }, /^concurrency is 0: give a whole number from 1 to 1000/],
  ['retry.maxMs', { retry: { baseMs: 10, maxMs: 5 } }, /^retry.maxMs is 5, below retry.baseMs 10/],
  ['attemptsMax', { attemptsMax: 1.5 }, /^attemptsMax is 1.5: give a whole number/],
  ['handlerTimeoutMs', { handlerTimeoutMs: 2 ** 31 }, /^handlerTimeoutMs is 2147483648: give/],
  ['classify', { classify: 'x' }, /^classify is a string of 1 characters: give a function/],
  ['needs[0]', { needs: [''] }, /^needs\[0\] is empty: give/],
  ['deadLetterTopic', { deadLetterTopic: '__x' }, /^deadLetterTopic begins with "__"/],
  [
    'redeliver',
    { redeliver: 'reproduce' },
    /^redeliver is 'reproduce' with order 'key': .*order: 'none'/,
  ],
  [
    'redeliver',
    { group: 'a b', order: 'none', redeliver: 'reproduce' },
    /^redeliver needs a topic <topic>.<group>.retry whose name holds a character/,
  ],
  ['listener.assigned', { listener: { assigned: 1 } }, /^listener.assigned is a number: give/],
  ['concurency', { concurency: 3 }, /^concurency is not an option: use group/],
]

for (const [field, more, message] of REFUSED) {
  test(`a bad ${field} is refused, by its name and with what to do (${JSON.stringify(more)})`, () => {
    assert.throws(
      () => settingsOf(given(more)),
      (error: unknown) => {
        assert.ok(error instanceof SluiceError)
        assert.equal(error.code, 'options')
        assert.equal(error.details.field, field)
        assert.match(error.message, message)
        return true
      },
    )
  })
}

test('a batch has 1 to 10,000 messages', () => {
  assert.equal(batchSizeOf({ batchSize: 10_000 }), 10_000)
  assert.throws(() => batchSizeOf({ batchSize: 0 }), /^SluiceError: batchSize is 0: give/)
  assert.throws(() => batchSizeOf({ batchSize: 10_001 }), /from 1 to 10000/)
})
