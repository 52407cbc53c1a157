import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Condition } from '../../../src/internal/condition.ts'

test('what holds already is not waited for, what does not is looked at after each notice', async () => {
  const condition = new Condition()
  await condition.until(() => true)
  let looks = 0
  let count = 0
  const waiting = condition.until(() => {
    looks++
    return count === 2
  })
  for (; count < 2; ) {
    count++
    condition.notify()
    await new Promise(settle => setImmediate(settle))
  }
  await waiting
  assert.equal(looks, 3)
})

test('a notice wakes everyone who waits', async () => {
  const condition = new Condition()
  let open = false
  const waiting = Promise.all([condition.until(() => open), condition.until(() => open)])
  open = true
  condition.notify()
  await waiting
})
