import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { BatchHandler } from '../../../src/consumer/bus.ts'
import { BadMessage, DependencyDown } from '../../../src/consumer/outcome.ts'
import { EngineRig, Latch, type RigOptions } from '../../support/engine-rig.ts'
import { recordOf } from '../../support/in-memory-source.ts'
import { until } from '../../support/until.ts'

const soon = (what: string, predicate: () => boolean) =>
  until(predicate, { deadlineMs: 3_000, what })

const records = (count: number, shape: object = {}) =>
  Array.from({ length: count }, (_, offset) => recordOf({ offset, ...shape }))

async function batchRig(
  t: TestContext,
  handler: BatchHandler<unknown>,
  { size = 100, ...options }: Omit<RigOptions, 'batch'> & { size?: number } = {},
) {
  const rig = await EngineRig.joined(t, { ...options, batch: { handler, size } })
  return rig
}

test('many messages are handled in one transaction, in offset order, at most the batch size', async t => {
  const sizes: number[] = []
  const offsets: bigint[] = []
  const rig = await batchRig(
    t,
    async messages => {
      sizes.push(messages.length)
      offsets.push(...messages.map(({ offset }) => offset))
    },
    { size: 40 },
  )
  await rig.source.deliver(records(100, { key: 'a' }))
  await soon('the commit', () => rig.committed === 'orders/0@100')
  assert.deepEqual(sizes, [40, 40, 20])
  assert.deepEqual(
    offsets,
    records(100).map(({ offset }) => offset),
  )
  assert.equal(rig.told('delivered').length, 3)
})

test('the handler gets only what the inbox does not know', async t => {
  const ids: string[] = []
  const rig = await batchRig(t, async messages => void ids.push(...messages.map(({ id }) => id)))
  rig.store.inbox.add('m0-1')
  await rig.source.deliver([...records(3), recordOf({ offset: 3, id: 'm0-0' })])
  await soon('the commit', () => rig.committed === 'orders/0@4')
  assert.deepEqual(ids, ['m0-0', 'm0-2'])
  assert.equal(rig.told('delivered')[0]?.duplicates, 2)
})

test('one message that fails is parked alone, and the others are handled in order', async t => {
  const done: bigint[] = []
  const rig = await batchRig(t, async messages => {
    if (messages.some(({ offset }) => offset === 37n)) throw new Error('no')
    done.push(...messages.map(({ offset }) => offset))
  })
  await rig.source.deliver(records(100))
  await soon('the commit', () => rig.committed === 'orders/0@100')
  assert.deepEqual(
    done,
    records(100)
      .map(({ offset }) => offset)
      .filter(offset => offset !== 37n),
  )
  assert.deepEqual(
    rig.store.parked.map(({ messageId, parking }) => [messageId, parking.kind]),
    [['m0-37', 'retry']],
  )
  assert.ok(rig.store.delivered.length < 20, `${rig.store.delivered.length} transactions`)
})

test('later messages of a key whose message failed wait behind it', async t => {
  const done: bigint[] = []
  const rig = await batchRig(t, async messages => {
    if (messages.some(({ offset }) => offset === 1n)) throw new Error('no')
    done.push(...messages.map(({ offset }) => offset))
  })
  await rig.source.deliver(['a', 'b', 'a', 'b'].map((key, offset) => recordOf({ offset, key })))
  await soon('the commit', () => rig.committed === 'orders/0@4')
  assert.deepEqual(done, [0n, 2n])
})

test('bad, expired and foreign ones of a batch have their own way', async t => {
  const done: string[] = []
  const rig = await batchRig(t, async messages => void done.push(...messages.map(({ id }) => id)))
  await rig.source.deliver([
    recordOf({ offset: 0 }),
    recordOf({ offset: 1, value: '{' }),
    recordOf({ offset: 2, headers: { 'twr-expires-at': '2001-01-01' } }),
    recordOf({ offset: 3, headers: { 'twr-replay-group': 'x' } }),
    recordOf({ offset: 4, headers: { 'twr-delay-until': '2999-01-01' } }),
    recordOf({ offset: 5 }),
  ])
  await soon('the commit', () => rig.committed === 'orders/0@6')
  assert.deepEqual(done, ['m0-0', 'm0-5'])
  assert.deepEqual(
    rig.store.parked.map(({ parking }) => parking.kind),
    ['dead', 'drop', 'drop', 'delay'],
  )
})

test('a message that must wait is parked before later ones of its key are looked at', async t => {
  const done: string[] = []
  const rig = await batchRig(t, async messages => void done.push(...messages.map(({ id }) => id)))
  await rig.source.deliver([
    recordOf({ offset: 0, key: 'a' }),
    recordOf({ offset: 1, key: 'a', headers: { 'twr-delay-until': '2999-01-01' } }),
    recordOf({ offset: 2, key: 'a' }),
  ])
  await soon('the commit', () => rig.committed === 'orders/0@3')
  assert.deepEqual(done, ['m0-0'])
  assert.deepEqual(
    rig.store.parked.map(({ messageId }) => messageId),
    ['m0-1'],
  )
})

test('a dependency that is down leaves the batch where it is', async t => {
  let isDown = true
  const done: bigint[] = []
  const rig = await batchRig(t, async messages => {
    if (isDown) throw new DependencyDown('payments')
    done.push(...messages.map(({ offset }) => offset))
  })
  await rig.source.deliver(records(10))
  await soon('the pause', () => rig.source.paused.at(-1)?.length === 1)
  assert.equal(rig.store.delivered.length, 1)
  assert.deepEqual(rig.store.parked, [])
  isDown = false
  rig.gate.set('all')
  await soon('the commit', () => rig.committed === 'orders/0@10')
  assert.deepEqual(
    done,
    records(10).map(({ offset }) => offset),
  )
})

test('a dependency that goes down amid halves loses nothing and repeats nothing that is done', async t => {
  const done: bigint[] = []
  let calls = 0
  const rig = await batchRig(t, async messages => {
    calls++
    if (calls === 1) throw new BadMessage('some of them')
    if (calls === 3) throw new DependencyDown('payments')
    done.push(...messages.map(({ offset }) => offset))
  })
  rig.gate.onFailure = 'all'
  await rig.source.deliver(records(10))
  await soon('the commit', () => rig.committed === 'orders/0@10')
  assert.deepEqual(
    done,
    records(10).map(({ offset }) => offset),
  )
})

test('a partition has one batch in work at a time, and several partitions have one each', async t => {
  const latch = new Latch()
  let begun = 0
  const rig = new EngineRig(t, {
    batch: {
      size: 5,
      handler: async () => {
        begun++
        await latch.opened
      },
    },
  })
  await rig.source.start(rig.engine)
  await rig.source.join([{ partition: 0 }, { partition: 1 }])
  await rig.source.deliver(records(20))
  await rig.source.deliver(records(20, { partition: 1 }))
  await soon('both', () => begun === 2)
  await new Promise(settle => setImmediate(settle))
  assert.equal(begun, 2)
  latch.open()
  await soon('all', () => rig.told('delivered').length === 8)
})

test('in careful reading a batch handler gets one message at a time', async t => {
  const sizes: number[] = []
  const rig = new EngineRig(t, {
    batch: { size: 50, handler: async messages => void sizes.push(messages.length) },
  })
  rig.store.begun = { starts: 3, attempted: null }
  await rig.source.start(rig.engine)
  await rig.source.join()
  await rig.source.deliver(records(10))
  await soon('the commit', () => rig.committed === 'orders/0@10')
  assert.deepEqual(sizes, Array(10).fill(1))
})

test('with order by partition a message that fails holds the rest of its batch', async t => {
  let failures = 2
  const done: bigint[] = []
  const rig = await batchRig(
    t,
    async messages => {
      if (failures > 0 && messages.some(({ offset }) => offset === 3n)) {
        if (messages.length === 1) failures--
        throw new Error('not yet')
      }
      done.push(...messages.map(({ offset }) => offset))
    },
    { subscribe: { order: 'partition', retry: { baseMs: 1, maxMs: 5 } } },
  )
  await rig.source.deliver(records(8))
  await soon('the commit', () => rig.committed === 'orders/0@8')
  assert.deepEqual(
    done,
    records(8).map(({ offset }) => offset),
  )
  assert.deepEqual(rig.store.parked, [])
})
