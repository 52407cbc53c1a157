import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Rejected } from '../../../src/relay/producer.ts'
import { failureOf } from '../../../src/relay/retry-policy.ts'
import { sampleEvent } from '../../contract/sample-event.ts'

const policy = { attemptsMax: 4, retryBaseMs: 100, retryMaxMs: 1_000, blockingTopics: [] }
const refused: Rejected = {
  kind: 'rejected',
  code: 'invalid_record',
  message: 'not this way',
  permanent: false,
}
const nearlyOne = () => 0.999

test('a refused event is tried again, after pauses that grow', () => {
  const delays = [0, 1, 2].map(attempts => {
    const event = sampleEvent({ attempts })
    const failure = failureOf(event, refused, policy, nearlyOne)
    const { retryDelayMs, ...facts } = failure
    assert.deepEqual(facts, {
      event,
      kind: 'retry',
      reason: 'invalid_record',
      error: 'not this way',
    })
    return retryDelayMs
  })
  assert.deepEqual(delays, [99, 199, 399])
})

test('the pause before a retry has an upper bound', () => {
  const patient = { ...policy, attemptsMax: 1_000 }
  const { retryDelayMs } = failureOf(sampleEvent({ attempts: 500 }), refused, patient, nearlyOne)
  assert.equal(retryDelayMs, 999)
})

test('an event whose attempts are spent becomes a dead letter', () => {
  for (const attempts of [3, 4, 50]) {
    const event = sampleEvent({ attempts })
    assert.deepEqual(failureOf(event, refused, policy), {
      event,
      kind: 'dead',
      reason: 'invalid_record',
      error: 'not this way',
      retryDelayMs: 0,
    })
  }
})

test('a refusal that can never change is a dead letter at once', () => {
  const failure = failureOf(sampleEvent(), { ...refused, permanent: true }, policy)
  assert.deepEqual([failure.kind, failure.retryDelayMs], ['dead', 0])
})

test('with one attempt at most there is no retry', () => {
  assert.equal(failureOf(sampleEvent(), refused, { ...policy, attemptsMax: 1 }).kind, 'dead')
})
