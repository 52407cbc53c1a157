import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { failureOf } from '../../src/relay/retry-policy.ts'
import { sampleEvent } from '../contract/sample-event.ts'

const policies = fc.record({
  attemptsMax: fc.integer({ min: 1, max: 10 }),
  retryBaseMs: fc.integer({ min: 1, max: 60_000 }),
  retryMaxMs: fc.integer({ min: 1, max: 3_600_000 }),
  blockingTopics: fc.subarray(['orders', 'returns', '*']),
})
const events = fc
  .record({
    attempts: fc.integer({ min: 0, max: 12 }),
    topic: fc.constantFrom('orders', 'payments'),
    key: fc.constantFrom(null, '', 'a'),
  })
  .map(sampleEvent)
const refusals = fc.record({
  kind: fc.constant('rejected' as const),
  code: fc.string(),
  message: fc.string(),
  permanent: fc.boolean(),
})
const randoms = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

test('a refusal is final when it cannot change or the attempts are spent, and only then', () => {
  fc.assert(
    fc.property(events, refusals, policies, randoms, (event, refusal, policy, random) => {
      const failure = failureOf(event, refusal, policy, () => random)
      const isFinal = refusal.permanent || event.attempts + 1 >= policy.attemptsMax
      assert.equal(failure.kind, isFinal ? 'dead' : 'retry')
      assert.deepEqual([failure.event, failure.reason], [event, refusal.code])
    }),
  )
})

test('the pause before a retry is below twice the one before it, and below its bound', () => {
  fc.assert(
    fc.property(events, refusals, policies, randoms, (event, refusal, policy, random) => {
      const { kind, retryDelayMs } = failureOf(event, refusal, policy, () => random)
      if (kind === 'dead') return assert.equal(retryDelayMs, 0)
      assert.ok(Number.isInteger(retryDelayMs) && retryDelayMs >= 0)
      assert.ok(retryDelayMs < policy.retryMaxMs)
      assert.ok(retryDelayMs < policy.retryBaseMs * 2 ** event.attempts)
    }),
  )
})

test('a dead letter blocks its key when its topic is one that does, and it has a key', () => {
  fc.assert(
    fc.property(events, refusals, policies, (event, refusal, policy) => {
      const { kind, blocksKey = false } = failureOf(event, refusal, policy)
      const { blockingTopics } = policy
      const isBlocking = blockingTopics.includes('*') || blockingTopics.includes(event.topic)
      assert.equal(blocksKey, kind === 'dead' && event.key !== null && isBlocking)
    }),
  )
})
