import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pacer } from '../../../src/demo/pacer.ts'

const never = new AbortController().signal

test('a rate is kept on average', async () => {
  const pacer = new Pacer(1_000)
  const startedAtMs = performance.now()
  for (let n = 0; n < 100; n++) await pacer.take(4, never)
  const tookMs = performance.now() - startedAtMs
  // 400 events at 1,000/s, less what a pacer may catch up.
  assert.ok(tookMs >= 290, `${tookMs} ms`)
})

test('without a rate nothing waits', async () => {
  const pacer = new Pacer(undefined)
  // At any finite rate this would not end within the run's time limit.
  for (let n = 0; n < 10_000; n++) await pacer.take(1e12, never)
})

test('an aborted signal ends the wait', async () => {
  const pacer = new Pacer(0.001)
  const stop = new AbortController()
  await pacer.take(1, stop.signal)
  const waiting = pacer.take(1, stop.signal)
  stop.abort()
  await waiting
})
