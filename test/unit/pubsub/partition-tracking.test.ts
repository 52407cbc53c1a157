import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SluiceError } from '../../../src/errors.ts'
import { NoPartition, partition_tracking } from '../../../src/pubsub/index.ts'

async function taken(tracking: partition_tracking, count: number): Promise<number[]> {
  const partitions: number[] = []
  for (let i = 0; i < count; i++) partitions.push(await tracking.get_next_partition(0))
  return partitions
}

test('partitions are handed out in turn, and the ring begins anew with each assignment', async () => {
  const tracking = new partition_tracking()
  tracking.update([5, 1, 3])
  assert.deepEqual(tracking.partitions, [1, 3, 5])
  assert.deepEqual(await taken(tracking, 5), [1, 3, 5, 1, 3])
  tracking.update([2, 1, 3])
  assert.deepEqual(await taken(tracking, 4), [1, 2, 3, 1])
})

test('those who ask while nothing is assigned wait for it, each gets the next partition', async () => {
  const tracking = new partition_tracking()
  const asked = Promise.all([1, 2, 3].map(() => tracking.get_next_partition(10_000)))
  tracking.update([])
  tracking.update([7, 8])
  assert.deepEqual(await asked, [7, 8, 7])
})

test('who waits in vain is told after the time, and what helps', async () => {
  const tracking = new partition_tracking()
  await assert.rejects(tracking.get_next_partition(20), error => {
    assert.ok(error instanceof NoPartition && error instanceof SluiceError)
    assert.equal(error.code, 'broker')
    assert.equal(error.retryable, true)
    assert.match(error.message, /as many partitions as there are instances/)
    return true
  })
  tracking.update([4])
  assert.equal(await tracking.get_next_partition(20), 4)
})

test('a wait ends with the signal, and with the end of the tracking', async () => {
  const tracking = new partition_tracking()
  const controller = new AbortController()
  const aborted = tracking.get_next_partition(10_000, controller.signal)
  const reason = new Error('no more')
  controller.abort(reason)
  await assert.rejects(aborted, reason)
  const closed = tracking.get_next_partition(10_000)
  tracking.close()
  await assert.rejects(closed, { code: 'lifecycle' })
  await assert.rejects(tracking.get_next_partition(10_000), { code: 'lifecycle' })
})

test('the list cannot be changed from outside', () => {
  const tracking = new partition_tracking()
  const given = [1, 2]
  tracking.update(given)
  given.push(3)
  assert.deepEqual(tracking.partitions, [1, 2])
  assert.throws(() => (tracking.partitions as number[]).push(9), TypeError)
})
