import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  countFreed,
  estimatedWaitMs,
  type FreedWindow,
  freedPerSecond,
} from '../../../src/admission/freed-rate.ts'

const NEVER: FreedWindow = { weight: 0, ageMs: null, openMs: null }

/** The window some time after places were freed at these times. */
function windowOf(freedAtMs: readonly number[], atMs: number): FreedWindow {
  let window = { weight: 0, at: null as number | null, since: null as number | null }
  const seen = (ms: number): FreedWindow => ({
    weight: window.weight,
    ageMs: window.at === null ? null : ms - window.at,
    openMs: window.since === null ? null : ms - window.since,
  })
  for (const ms of freedAtMs) {
    const { weight, isNew } = countFreed(seen(ms), 1)
    window = { weight, at: ms, since: isNew ? ms : window.since }
  }
  return seen(atMs)
}

function every(periodMs: number, times: number): number[] {
  return Array.from({ length: times }, (_, n) => n * periodMs)
}

test('a steady rate is told as it is, at the start and later', () => {
  for (const periodMs of [100, 1_000, 20_000]) {
    for (const times of [5, 20, 500]) {
      const freed = every(periodMs, times)
      const told = freedPerSecond(windowOf(freed, freed.at(-1)!), times)
      const ratio = told! / (1_000 / periodMs)
      // The last one has just come, which one of few overstates.
      assert.ok(ratio > 0.9 && ratio < 1.25, `${times} every ${periodMs} ms: ${ratio}`)
    }
  }
})

test('no rate is told of fewer than three, of the first moment, and of what is long ago', () => {
  assert.equal(freedPerSecond(NEVER, 0), null)
  assert.equal(freedPerSecond(windowOf([0, 1_000], 1_000), 2), null)
  assert.equal(freedPerSecond(windowOf([0], 0), 500), null)
  const freed = every(1_000, 5)
  assert.ok(freedPerSecond(windowOf(freed, 60_000), 5) !== null)
  assert.equal(freedPerSecond(windowOf(freed, 600_000), 5), null)
})

test('while nothing is freed the rate falls', () => {
  const freed = every(1_000, 100)
  const rates = [100, 110, 130, 160].map(s => freedPerSecond(windowOf(freed, s * 1_000), 100)!)
  assert.deepEqual(
    [...rates].sort((a, b) => b - a),
    rates,
  )
  assert.ok(rates[3]! < rates[0]! / 2)
})

test('a window that says nothing any more is opened again', () => {
  const freed = [0, 1_000, 2_000, 3_600_000, 3_601_000]
  const told = freedPerSecond(windowOf(freed, 3_601_000), 5)
  assert.ok(Math.abs(told! - 1) < 0.1, `${told}`)
})

test('a clock that goes back does no harm', () => {
  const window = { weight: 5, ageMs: -1e9, openMs: 60_000 }
  const told = freedPerSecond(window, 9)
  assert.ok(told !== null && Number.isFinite(told) && told > 0)
  assert.equal(freedPerSecond({ weight: 5, ageMs: 0, openMs: -5 }, 9), null)
})

test('whatever is freed when, the rate is null or a positive number', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 10_000_000 }), { maxLength: 50 }),
      fc.integer({ min: 0, max: 10_000_000 }),
      (times, laterMs) => {
        const freed = times.sort((a, b) => a - b)
        const told = freedPerSecond(windowOf(freed, (freed.at(-1) ?? 0) + laterMs), freed.length)
        assert.ok(told === null || (Number.isFinite(told) && told > 0))
      },
    ),
  )
})

test('the wait is that of the places before, at the rate', () => {
  assert.equal(estimatedWaitMs(10, 2), 5_000)
  assert.equal(estimatedWaitMs(1, null), null)
})
