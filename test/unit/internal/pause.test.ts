import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withDeadline } from '../../../src/internal/deadline.ts'
import { monotonicMs } from '../../../src/internal/monotonic.ts'
import { pause } from '../../../src/internal/pause.ts'

const LONG_MS = 15_000
const late = () => new Error('the pause did not end')

test('a pause lasts as long as asked', async () => {
  const startedMs = monotonicMs()
  await pause(150, new AbortController().signal)
  // Node's timers count from the start of a turn of its event loop, so they may seem to end early.
  assert.ok(monotonicMs() - startedMs >= 100)
})

test('a pause ends at once when its signal is aborted, without an error', async () => {
  const stop = new AbortController()
  const pausing = pause(LONG_MS, stop.signal)
  stop.abort()
  await withDeadline(pausing, 2_000, late)
})

test('a pause under an aborted signal, or of no length, is none', async () => {
  await withDeadline(pause(LONG_MS, AbortSignal.abort()), 2_000, late)
  await withDeadline(pause(0, new AbortController().signal), 2_000, late)
  await withDeadline(pause(-5, new AbortController().signal), 2_000, late)
})

test('a pause that is longer than a timer can count lasts all the same', async () => {
  const stop = new AbortController()
  let ended = false
  const pausing = pause(2 ** 40, stop.signal).then(() => {
    ended = true
  })
  await pause(20, new AbortController().signal)
  assert.equal(ended, false)
  stop.abort()
  await withDeadline(pausing, 2_000, late)
})
