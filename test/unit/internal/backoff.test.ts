import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fullJitterMs } from '../../../src/internal/backoff.ts'

const HIGHEST = 1 - Number.EPSILON / 2

test('the upper bound doubles with each attempt until it reaches the maximum', () => {
  const bounds = [1, 2, 3, 4, 5, 6].map(attempt => fullJitterMs(attempt, 100, 1_000, () => HIGHEST))
  assert.deepEqual(bounds, [99, 199, 399, 799, 999, 999])
})

test('the lower bound is zero, so that callers that failed together spread out', () => {
  for (const attempt of [1, 5, 50])
    assert.equal(
      fullJitterMs(attempt, 100, 1_000, () => 0),
      0,
    )
})

test('whatever the attempt, the pause is a whole number below its bound', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -5, max: 2 ** 31 }),
      fc.integer({ min: 1, max: 60_000 }),
      fc.integer({ min: 1, max: 3_600_000 }),
      fc.double({ min: 0, max: HIGHEST, noNaN: true }),
      (attempt, baseMs, maxMs, random) => {
        const pauseMs = fullJitterMs(attempt, baseMs, maxMs, () => random)
        const doublings = Math.max(attempt, 1) - 1
        assert.ok(Number.isSafeInteger(pauseMs))
        assert.ok(pauseMs >= 0 && pauseMs < Math.min(maxMs, baseMs * 2 ** doublings))
      },
    ),
  )
})

test('pauses are spread over the whole range', () => {
  const pauses = Array.from({ length: 1_000 }, () => fullJitterMs(1, 1_000, 1_000))
  const quarters = new Set(pauses.map(pauseMs => Math.floor(pauseMs / 250)))
  assert.deepEqual([...quarters].sort(), [0, 1, 2, 3])
})
