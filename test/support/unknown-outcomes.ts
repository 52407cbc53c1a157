import assert from 'node:assert/strict'
import type { Outcome } from '../../src/relay/producer.ts'

/** Unknown outcomes with these codes, none of which is the producer’s fault or a topic’s. */
export function assertUnknown(
  outcomes: readonly Outcome[],
  codes: readonly (string | RegExp)[],
): void {
  assert.equal(outcomes.length, codes.length)
  for (const [index, outcome] of outcomes.entries()) {
    assert.ok(outcome.kind === 'unknown', `the outcome is ${JSON.stringify(outcome)}`)
    const code = codes[index]!
    if (typeof code === 'string') assert.equal(outcome.code, code)
    else assert.match(outcome.code, code)
    if (outcome.code !== 'key_held')
      assert.deepEqual([outcome.fault, outcome.scope], ['broker', 'cluster'])
  }
}
