import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endsWithin } from '../../../src/internal/ends-within.ts'

const NEVER = new Promise<void>(() => {})

test('work that ends in time has ended, also if it failed', async () => {
  assert.equal(await endsWithin(Promise.resolve(), { durationMs: 1_000 }), true)
  assert.equal(await endsWithin(Promise.reject(new Error('x')), { durationMs: 1_000 }), true)
})

test('work that does not end is left when the time is over or the signal is aborted', async () => {
  assert.equal(await endsWithin(NEVER, { durationMs: 5 }), false)
  assert.equal(await endsWithin(NEVER, { signal: AbortSignal.abort() }), false)
  const leave = new AbortController()
  const waiting = endsWithin(NEVER, { signal: leave.signal })
  leave.abort()
  assert.equal(await waiting, false)
})
