import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LatencyWindow } from '../../../src/demo/latency-window.ts'

function assertNear(actual: number | null, expected: number): void {
  assert.ok(actual !== null && actual >= expected && actual <= expected * 1.1, `${actual}`)
}

test('quantiles are those of what was recorded, rounded up by a tenth at most', () => {
  const window = new LatencyWindow(5)
  for (let ms = 1; ms <= 1_000; ms++) window.record(ms, 10_000)
  assertNear(window.quantile(0.5, 10_000), 500)
  assertNear(window.quantile(0.99, 10_000), 990)
})

test('the window forgets what is older than its seconds', () => {
  const window = new LatencyWindow(5)
  window.record(900, 10_000)
  window.record(10, 14_500)
  assertNear(window.quantile(1, 14_900), 900)
  assertNear(window.quantile(1, 15_000), 10)
  assert.equal(window.quantile(0.5, 60_000), null)
})

test('a second that comes round again in the ring starts empty', () => {
  const window = new LatencyWindow(2)
  window.record(900, 0)
  window.record(10, 2_000)
  assertNear(window.quantile(1, 2_000), 10)
})

test('latencies beyond either end of the scale are counted at the end', () => {
  const window = new LatencyWindow(1)
  window.record(-5, 0) // two clocks may differ by a little
  window.record(1e9, 0)
  assertNear(window.quantile(0.5, 0), 0.1)
  const longest = window.quantile(1, 0)
  assert.ok(longest !== null && longest > 90_000, `${longest}`)
})
