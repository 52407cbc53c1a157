import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { withDeadline } from '../../../src/internal/deadline.ts'
import { monotonicMs } from '../../../src/internal/monotonic.ts'
import { Pace } from '../../../src/relay/pace.ts'

/** So long that a wait of it can only end because it was ended. */
const LONG_MS = 15_000

function setup(pauseMsMax = LONG_MS) {
  const drain = new AbortController()
  return { drain, pace: new Pace(pauseMsMax, drain.signal) }
}

/** Waits for the next turn, and returns the time that has passed since `startedMs`. */
async function waitMs(pace: Pace, startedMs = monotonicMs()): Promise<number> {
  await withDeadline(pace.nextTurn(), 5_000, () => new Error('the turn did not come'))
  return monotonicMs() - startedMs
}

/** Many readings in a row that found nothing: the pause has reached its maximum. */
function idle(pace: Pace): void {
  for (let reading = 0; reading < 50; reading++) pace.found(0)
}

test('the first reading, and the next one after events were found, need not wait', async () => {
  const { pace } = setup()
  assert.ok((await waitMs(pace)) < 5_000)
  idle(pace)
  pace.found(1)
  assert.ok((await waitMs(pace)) < 5_000)
})

test('readings that find nothing are followed by a pause that grows to its maximum', async () => {
  const { pace } = setup(150)
  const startedMs = monotonicMs()
  idle(pace)
  // Node's timers count from the start of a turn of its event loop, so they may seem to end early.
  assert.ok((await waitMs(pace, startedMs)) >= 100)
})

test('after events were found the pauses begin small again', async () => {
  const { pace } = setup()
  idle(pace)
  pace.found(3)
  pace.found(0)
  assert.ok((await waitMs(pace)) < 5_000)
})

test('a wait ends when a reservation frees its lanes', async () => {
  const { pace } = setup()
  idle(pace)
  const waiting = waitMs(pace)
  pace.lanesFreed()
  assert.ok((await waiting) < 5_000)
})

test('lanes that were freed before the wait began shorten it', async () => {
  const { pace } = setup()
  idle(pace)
  pace.lanesFreed()
  assert.ok((await waitMs(pace)) < 5_000)
})

test('a stop ends the wait, and every later one', async () => {
  const { pace, drain } = setup()
  idle(pace)
  const waiting = waitMs(pace)
  drain.abort()
  assert.ok((await waiting) < 5_000)
  idle(pace)
  assert.ok((await waitMs(pace)) < 5_000)
})

test('waits leave no listener behind on the signal of the stop', async () => {
  const { pace, drain } = setup()
  for (let turn = 0; turn < 100; turn++) {
    idle(pace)
    const waiting = pace.nextTurn()
    pace.lanesFreed()
    await waiting
  }
  assert.equal(getEventListeners(drain.signal, 'abort').length, 1)
})
