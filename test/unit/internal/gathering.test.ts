import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SluiceError } from '../../../src/errors.ts'
import { Gathering, type GatheringOptions } from '../../../src/internal/gathering.ts'

/** Batches that end when they are told to. */
function gather(options: Partial<GatheringOptions<number, number>> = {}) {
  const batches: (readonly number[])[] = []
  const ends: {
    done: (results: readonly (number | Error)[]) => void
    fail: (e: unknown) => void
  }[] = []
  const gathering = new Gathering<number, number>({
    what: 'adding',
    batchMax: 3,
    batchesMax: 1,
    waitingMax: 100,
    onFull: () => new RangeError('full'),
    run: items => {
      batches.push(items)
      return new Promise((done, fail) => {
        ends.push({ done, fail })
      })
    },
    ...options,
  })
  return { gathering, batches, ends }
}

const turn = () => new Promise(settle => setImmediate(settle))

test('what comes in one go is one batch, and what comes meanwhile is the next', async () => {
  const { gathering, batches, ends } = gather()
  const first = [1, 2].map(item => gathering.add(item))
  assert.deepEqual(batches, [])
  await turn()
  assert.deepEqual(batches, [[1, 2]])
  const later = [3, 4, 5, 6].map(item => gathering.add(item))
  await turn()
  assert.equal(batches.length, 1)
  ends[0]?.done([10, 20])
  assert.deepEqual(await Promise.all(first), [10, 20])
  await turn()
  assert.deepEqual(batches, [
    [1, 2],
    [3, 4, 5],
  ])
  ends[1]?.done([30, 40, 50])
  await turn()
  ends[2]?.done([60])
  assert.deepEqual(await Promise.all(later), [30, 40, 50, 60])
  assert.ok(gathering.idle)
})

test('no more batches are in work than allowed', async () => {
  const { gathering, batches, ends } = gather({ batchesMax: 2, batchMax: 1 })
  const results = [1, 2, 3].map(item => gathering.add(item))
  await turn()
  assert.deepEqual(batches, [[1], [2]])
  ends[1]?.done([2])
  await turn()
  assert.deepEqual(batches, [[1], [2], [3]])
  ends[0]?.done([1])
  ends[2]?.done([3])
  assert.deepEqual(await Promise.all(results), [1, 2, 3])
})

test('an error is that of its item alone, a rejection that of all', async () => {
  const { gathering, ends } = gather({ batchMax: 2 })
  const results = [1, 2, 3, 4, 5].map(item => gathering.add(item))
  const settled = Promise.allSettled(results)
  await turn()
  ends[0]?.done([10, new Error('two')])
  await turn()
  ends[1]?.fail(new Error('both'))
  await turn()
  ends[2]?.done([])
  const outcomes = (await settled).map(one =>
    one.status === 'fulfilled' ? one.value : (one.reason as Error).message,
  )
  assert.deepEqual(outcomes, [10, 'two', 'both', 'both', 'adding: torn result'])
  assert.ok(gathering.idle)
})

test('who comes when it is full is refused, and whoever waits is not', async () => {
  const { gathering, ends } = gather({ waitingMax: 2, batchMax: 9 })
  const results = [1, 2].map(item => gathering.add(item))
  await assert.rejects(gathering.add(3), RangeError)
  await turn()
  const next = gathering.add(3)
  ends[0]?.done([1, 2])
  assert.deepEqual(await Promise.all(results), [1, 2])
  await turn()
  ends[1]?.done([3])
  assert.equal(await next, 3)
})

test('a stop refuses those who wait and ends with what is in work', async () => {
  const { gathering, batches, ends } = gather({ batchMax: 1 })
  const [first, second] = [gathering.add(1), gathering.add(2)]
  const refused = assert.rejects(second, isStopped)
  await turn()
  let isEnded = false
  const stopping = gathering.stop().then(() => {
    isEnded = true
  })
  await refused
  await assert.rejects(gathering.add(3), isStopped)
  await turn()
  assert.equal(isEnded, false)
  ends[0]?.done([1])
  await stopping
  assert.equal(await first, 1)
  assert.equal(batches.length, 1)
})

test('what was to begin when it is stopped does not', async () => {
  const { gathering, batches } = gather()
  const refused = assert.rejects(gathering.add(1), isStopped)
  await gathering.stop()
  await refused
  await turn()
  assert.deepEqual(batches, [])
})

function isStopped(error: unknown): boolean {
  return error instanceof SluiceError && error.code === 'lifecycle'
}
