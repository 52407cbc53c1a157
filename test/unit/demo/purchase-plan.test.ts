import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planPurchase } from '../../../src/demo/purchase-plan.ts'

const CUSTOMERS = 50
const plans = Array.from({ length: 5_000 }, (_, n) => planPurchase(7, n, CUSTOMERS, 3))

test('a purchase follows from the seed and its number alone', () => {
  assert.deepEqual(planPurchase(7, 4_321, CUSTOMERS, 3), plans[4_321])
  assert.notDeepEqual(
    plans.slice(0, 20),
    plans.slice(0, 20).map((_, n) => planPurchase(8, n, CUSTOMERS, 3)),
  )
})

test('about a tenth of the purchases roll back', () => {
  const share = plans.filter(plan => plan.rollsBack).length / plans.length
  assert.ok(share > 0.08 && share < 0.12, String(share))
})

test('a purchase writes one to three events, never two to one key of one topic', () => {
  for (const { events } of plans) {
    assert.ok(events.length >= 1 && events.length <= 3)
    const keys = new Set(events.map(event => `${event.stream}/${event.customer}`))
    assert.equal(keys.size, events.length)
    for (const { customer } of events) assert.ok(customer >= 0 && customer < CUSTOMERS)
  }
  assert.deepEqual(new Set(plans.map(plan => plan.events.length)), new Set([1, 2, 3]))
})

test('the three ways of writing all occur', () => {
  const ways = new Set(plans.map(plan => plan.way))
  assert.deepEqual(ways, new Set(['insert', 'sql_function', 'enqueue']))
})

test('a purchase writes no more events than are left', () => {
  for (let n = 0; n < 100; n++) assert.equal(planPurchase(7, n, CUSTOMERS, 1).events.length, 1)
})
