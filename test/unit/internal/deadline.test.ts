import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withDeadline } from '../../../src/internal/deadline.ts'

const expiry = () => new Error('too late')
const never = new Promise<never>(() => {})
/** Far longer than any test: a timer of it that is left behind would be seen. */
const LONG_MS = 15_000

function timers(): number {
  return process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
}

test('work that ends in time settles as itself, and leaves no timer behind', async () => {
  const before = timers()
  const broken = new Error('broken')
  assert.equal(await withDeadline(Promise.resolve(7), LONG_MS, expiry), 7)
  await assert.rejects(withDeadline(Promise.reject(broken), LONG_MS, expiry), broken)
  assert.equal(timers(), before)
})

test('work that takes too long is given up with the error of the caller', async () => {
  await assert.rejects(withDeadline(never, 5, expiry), /too late/)
})

test('a deadline that is over already gives up what has not ended yet', async () => {
  await assert.rejects(withDeadline(never, 0, expiry), /too late/)
  await assert.rejects(withDeadline(never, -1_000, expiry), /too late/)
})

test('a rejection after the deadline disturbs nobody', async t => {
  const unhandled: unknown[] = []
  const listener = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', listener)
  t.after(() => process.off('unhandledRejection', listener))
  let fail = (_: Error) => {}
  const late = new Promise<never>((_, reject) => {
    fail = reject
  })
  await assert.rejects(withDeadline(late, 1, expiry), /too late/)
  fail(new Error('after the deadline'))
  // Unhandled rejections are reported once the microtasks have run.
  await new Promise(setImmediate)
  assert.deepEqual(unhandled, [])
})
