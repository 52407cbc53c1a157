import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecentIds } from '../../../src/demo/recent-ids.ts'

test('an id is new once', () => {
  const recent = new RecentIds(10)
  assert.equal(recent.add('a'), true)
  assert.equal(recent.add('a'), false)
})

test('the last ids up to the capacity are remembered, and no more than twice as many', () => {
  const recent = new RecentIds(100)
  for (let n = 0; n < 1_050; n++) recent.add(`id-${n}`)
  for (let n = 950; n < 1_050; n++) assert.equal(recent.has(`id-${n}`), true, `id-${n}`)
  for (let n = 0; n < 800; n++) assert.equal(recent.has(`id-${n}`), false, `id-${n}`)
})
