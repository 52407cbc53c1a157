import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DependencyDown } from '../../../src/consumer/outcome.ts'
import { SluiceError } from '../../../src/errors.ts'
import { EngineRig, Latch } from '../../support/engine-rig.ts'
import { recordOf } from '../../support/in-memory-source.ts'
import { until } from '../../support/until.ts'

const soon = (what: string, predicate: () => boolean) =>
  until(predicate, { deadlineMs: 3_000, what })
const never = { commitEveryMs: 3_600_000, commitEveryRecords: 1_000_000 }

test('giving partitions up waits for what is in work, commits it, and begins nothing else', async t => {
  const latch = new Latch()
  const steps: string[] = []
  const rig = await EngineRig.joined(t, {
    limits: never,
    subscribe: {
      concurrency: 1,
      listener: {
        assigned: (partitions, epoch) => void steps.push(`assigned ${partitions.length} ${epoch}`),
        revoked: (_, why) => void steps.push(`revoked ${why} after ${rig.committed}`),
      },
    },
    handler: async () => await latch.opened,
  })
  await rig.source.deliver([0, 1, 2].map(offset => recordOf({ offset })))
  await soon('the work', () => rig.store.delivered.length === 1)
  const revoked = rig.source.rebalance()
  latch.open()
  await revoked
  assert.deepEqual(rig.handled, ['m0-0'])
  assert.deepEqual(steps, ['assigned 1 1', 'revoked rebalance after orders/0@1'])
  assert.deepEqual(rig.store.farewells, ['orders/0'])
  assert.equal(rig.told('revoked')[0]?.drained, true)
  assert.equal(rig.engine.state, 'unassigned')
})

test('handlers that are still at work when the time is over are aborted and rolled back', async t => {
  const leave = new AbortController()
  let aborted = false
  const rig = await EngineRig.joined(t, {
    handler: async (_, { signal }) => {
      await new Promise<void>(settle => signal.addEventListener('abort', () => settle()))
      aborted = true
    },
  })
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the work', () => rig.store.delivered.length === 1)
  const revoked = rig.source.rebalance(leave.signal)
  leave.abort()
  await revoked
  assert.deepEqual(rig.source.commits, [])
  assert.equal(aborted, true)
  assert.deepEqual(rig.store.parked, [])
  assert.equal(rig.store.inbox.size, 0)
  assert.equal(rig.told('revoked')[0]?.drained, true)
})

test('a transaction that cannot be ended is reported as not drained, and its end counts no more', async t => {
  const latch = new Latch()
  const leave = new AbortController()
  const rig = await EngineRig.joined(t, { limits: { abandonMs: 20 } })
  let begun = false
  rig.store.deliver = async () => {
    begun = true
    await latch.opened
    return ['handled']
  }
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the work', () => begun)
  leave.abort()
  await rig.source.rebalance(leave.signal)
  assert.equal(rig.told('revoked')[0]?.drained, false)
  assert.deepEqual(rig.store.farewells, [])
  await rig.source.join()
  latch.open()
  await soon('its end', () => rig.told('delivered').length === 1)
  await rig.source.deliver([], { nextOffset: 0n })
  await soon('a commit', () => rig.committed === 'orders/0@0')
})

test('after a rejoin records come again, and are duplicates where they were handled', async t => {
  const rig = await EngineRig.joined(t, { limits: never })
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the first', () => rig.handled.length === 1)
  rig.source.commitErrors.push(new Error('rebalance in progress'))
  await rig.source.rebalance()
  assert.equal(rig.told('commit_failed').length, 1)
  await rig.source.join()
  await rig.source.deliver([recordOf({ offset: 0 }), recordOf({ offset: 1 })])
  await soon('the second', () => rig.handled.length === 2)
  assert.deepEqual(rig.handled, ['m0-0', 'm0-1'])
  assert.equal(rig.store.begins, 2)
})

test('records of an earlier assignment are not handled', async t => {
  const rig = await EngineRig.joined(t)
  await rig.source.join()
  await rig.source.deliver([recordOf({ offset: 0 })], { epoch: 1 })
  await rig.source.deliver([recordOf({ offset: 5 })])
  await soon('the commit', () => rig.committed === 'orders/0@6')
  assert.deepEqual(rig.handled, ['m0-5'])
})

test('what was lost is not committed', async t => {
  const rig = await EngineRig.joined(t, { limits: never })
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the first', () => rig.handled.length === 1)
  await rig.source.lose()
  assert.deepEqual(rig.source.commits, [])
  assert.equal(rig.engine.state, 'crashed')
  assert.equal(rig.told('revoked')[0]?.why, 'lost')
  await rig.source.join()
  assert.equal(rig.engine.state, 'running')
})

test('a listener that throws is reported and stops nothing', async t => {
  const rig = await EngineRig.joined(t, {
    subscribe: {
      listener: {
        assigned: () => {
          throw new Error('my cache')
        },
      },
    },
  })
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the first', () => rig.handled.length === 1)
  assert.match(String(rig.listenerErrors[0]), /my cache/)
})

test('a commit that failed is repeated, and offsets never go back', async t => {
  const rig = await EngineRig.joined(t)
  rig.source.commitErrors.push(new Error('not now'))
  await rig.source.deliver([recordOf({ offset: 3 })])
  await soon('the commit', () => rig.committed === 'orders/0@4')
  assert.equal(rig.told('commit_failed').length, 1)
  await rig.source.rebalance()
  await rig.source.join([{ committed: 9n }])
  await rig.source.deliver([recordOf({ offset: 3 }), recordOf({ offset: 4 })])
  await soon('all', () => rig.told('delivered').length === 3)
  await rig.source.rebalance()
  assert.deepEqual(rig.source.commits, [['orders/0@4']])
})

test('after an offset out of range reading may go on further back', async t => {
  const latch = new Latch()
  const rig = await EngineRig.joined(t, {
    handler: async ({ id }) => (id === 'y' ? await latch.opened : undefined),
  })
  await rig.source.deliver([recordOf({ offset: 50, id: 'x' }), recordOf({ offset: 51, id: 'y' })])
  await soon('the commit', () => rig.committed === 'orders/0@51')
  rig.engine.outOfRange({ topic: 'orders', partition: 0 }, 52n)
  await rig.source.deliver([recordOf({ offset: 7 })])
  await soon('the commit', () => rig.committed === 'orders/0@8')
  latch.open()
  await soon('the old one', () => rig.handled.length === 3)
  assert.equal(rig.told('out_of_range').length, 1)
})

test('a thousand finished records are committed without waiting for the time', async t => {
  const rig = await EngineRig.joined(t, {
    limits: { commitEveryMs: 3_600_000, commitEveryRecords: 10 },
  })
  await rig.source.deliver(Array.from({ length: 25 }, (_, offset) => recordOf({ offset })))
  await soon('all', () => rig.handled.length === 25)
  await soon('the commits', () => rig.source.commits.length > 0)
})

test('a partition that began three times at one offset is read with care, until it went well', async t => {
  let inWork = 0
  let most = 0
  const rig = new EngineRig(t, {
    handler: async () => {
      most = Math.max(most, ++inWork)
      await new Promise(settle => setImmediate(settle))
      inWork--
    },
  })
  rig.store.begun = { starts: 3, attempted: null }
  await rig.source.start(rig.engine)
  await rig.source.join()
  await rig.source.deliver(Array.from({ length: 100 }, (_, offset) => recordOf({ offset })))
  await soon('all', () => rig.handled.length === 100)
  assert.equal(most, 1)
  assert.equal(rig.store.attempted.length, 100)
  await rig.source.deliver([100, 101, 102].map(offset => recordOf({ offset })))
  await soon('the rest', () => rig.handled.length === 103)
  assert.ok(most > 1)
  assert.equal(rig.store.attempted.length, 100)
})

test('a record that killed its process again is held', async t => {
  const rig = new EngineRig(t)
  rig.store.begun = { starts: 1, attempted: { offset: 0n, starts: 2 } }
  rig.store.attempts = 3
  await rig.source.start(rig.engine)
  await rig.source.join()
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the commit', () => rig.committed === 'orders/0@1')
  assert.deepEqual(rig.handled, [])
  assert.deepEqual(rig.store.parked[0]?.parking, {
    kind: 'hold',
    attempts: 2,
    reason: 'killed its process',
  })
})

test('a full queue pauses its partition until half of it is done', async t => {
  const latch = new Latch()
  const rig = await EngineRig.joined(t, {
    limits: { queueRecordsMax: 10 },
    handler: async () => await latch.opened,
  })
  await rig.source.deliver(Array.from({ length: 12 }, (_, offset) => recordOf({ offset })))
  assert.deepEqual(rig.source.paused, [['orders/0']])
  assert.deepEqual(rig.told('paused')[0]?.because, ['back_pressure'])
  // One more batch that was fetched already: it waits a little for room, and is taken all the same.
  await rig.source.deliver([recordOf({ offset: 12 })])
  latch.open()
  await soon('the end of the pause', () => rig.source.paused.at(-1)?.length === 0)
  await soon('all', () => rig.handled.length === 13)
})

test('who waits for room is let in as soon as there is some', async t => {
  const latch = new Latch()
  const rig = await EngineRig.joined(t, {
    limits: { queueRecordsMax: 2, roomMs: 600_000 },
    handler: async () => await latch.opened,
  })
  await rig.source.deliver([recordOf({ offset: 0 }), recordOf({ offset: 1 })])
  let isTaken = false
  const taken = rig.source.deliver([recordOf({ offset: 2 })]).then(() => {
    isTaken = true
  })
  latch.open()
  await soon('it is taken', () => isTaken)
  await taken
})

test('a held partition is paused and not handled, also what was queued; others go on', async t => {
  const rig = new EngineRig(t)
  await rig.source.start(rig.engine)
  rig.holds.set('orders/0', true)
  await rig.source.join([{ partition: 0 }, { partition: 1 }])
  assert.deepEqual(rig.source.paused, [['orders/0']])
  await rig.source.deliver([recordOf({ offset: 0 })])
  await rig.source.deliver([recordOf({ offset: 0, partition: 1 })])
  await soon('the other', () => rig.handled.length === 1)
  assert.deepEqual(rig.handled, ['m1-0'])
  assert.equal(rig.engine.state, 'running')
  rig.holds.set('orders/1', true)
  assert.equal(rig.engine.state, 'paused')
  rig.holds.set('orders/0', false)
  await soon('the held one', () => rig.handled.length === 2)
  assert.deepEqual(rig.source.paused.at(-1), ['orders/1'])
})

test('a hold outlives a rebalance', async t => {
  const rig = await EngineRig.joined(t)
  rig.holds.set('orders/0', true)
  await rig.source.rebalance()
  await rig.source.join([{ partition: 0 }, { partition: 1 }])
  assert.deepEqual(rig.source.paused.at(-1), ['orders/0'])
})

test('a full waiting room pauses the partition until there is room', async t => {
  const rig = await EngineRig.joined(t, {
    subscribe: { concurrency: 1 },
    handler: async ({ id }) => (id === 'm0-0' ? { kind: 'hold', reason: 'x' } : undefined),
  })
  rig.store.isFull = true
  await rig.source.deliver([0, 1].map(offset => recordOf({ offset })))
  await soon('the pause', () => rig.told('paused').at(-1)?.because[0] === 'full')
  assert.deepEqual(rig.handled, ['m0-0'])
  rig.store.isFull = false
  await soon('the rest', () => rig.handled.length === 2)
  assert.deepEqual(rig.source.paused.at(-1), [])
})

test('what is paused is told only when it has changed', async t => {
  const rig = await EngineRig.joined(t)
  rig.holds.set('orders/0', true)
  rig.holds.set('orders/0', true)
  rig.gate.set('none')
  rig.gate.set('all')
  rig.holds.set('orders/0', false)
  assert.deepEqual(rig.source.paused, [['orders/0'], []])
  assert.deepEqual(
    rig.told('paused').map(({ because }) => because.join()),
    ['held', 'dependency,held', 'held', ''],
  )
})

test('a stop that comes amid a rebalance ends its patience', async t => {
  const stop = new AbortController()
  const rig = await EngineRig.joined(t, { handler: () => new Promise(() => {}) })
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the work', () => rig.store.delivered.length === 1)
  const rebalance = rig.source.rebalance()
  const stopped = rig.engine.revoke('stop', stop.signal)
  stop.abort()
  await Promise.all([rebalance, stopped])
  assert.equal(rig.told('revoked').length, 1)
})

test('careful reading does not take a record that is tried again for one that kills', async t => {
  let failures = 5
  const rig = new EngineRig(t, {
    handler: async () => {
      if (failures-- > 0) throw new SluiceError('database', 'gone')
    },
  })
  rig.gate.onFailure = 'all'
  rig.store.begun = { starts: 3, attempted: null }
  await rig.source.start(rig.engine)
  await rig.source.join()
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the commit', () => rig.committed === 'orders/0@1')
  assert.deepEqual(rig.store.attempted, [0n])
  assert.deepEqual(rig.handled, ['m0-0'])
})

test('a record that is read twice within an assignment is handled and counted once', async t => {
  const rig = await EngineRig.joined(t)
  await rig.source.deliver([recordOf({ offset: 0 }), recordOf({ offset: 1 })])
  await rig.source.deliver([recordOf({ offset: 1 }), recordOf({ offset: 2 })])
  await soon('the commit', () => rig.committed === 'orders/0@3')
  assert.equal(rig.told('delivered').length, 3)
})

test('after a failure nothing is begun for a moment, even if the breaker stays closed', async t => {
  const begun: number[] = []
  const rig = await EngineRig.joined(t, {
    handler: async () => {
      begun.push(performance.now())
      if (begun.length < 3) throw new DependencyDown('mail')
    },
  })
  rig.gate.onFailure = 'all'
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the end', () => rig.handled.length === 1)
  const [first, second, third] = begun as [number, number, number]
  assert.ok(second - first > 80 && third - second > 80, begun.join())
})

test('a partition whose messages go behind others pauses when the waiting room is full', async t => {
  const rig = await EngineRig.joined(t, { subscribe: { concurrency: 1 } })
  rig.store.waitingKeys.add('orders/a')
  rig.store.isFull = true
  await rig.source.deliver([recordOf({ offset: 0, key: 'a' }), recordOf({ offset: 1, key: 'b' })])
  await soon('the pause', () => rig.told('paused').at(-1)?.because[0] === 'full')
  assert.deepEqual(rig.handled, [])
})

test('a full queue is read again only when half of it is done', async t => {
  const latches = Array.from({ length: 10 }, () => new Latch())
  const rig = await EngineRig.joined(t, {
    limits: { queueRecordsMax: 10 },
    subscribe: { concurrency: 20 },
    handler: async ({ offset }) => await latches[Number(offset)]?.opened,
  })
  await rig.source.deliver(Array.from({ length: 10 }, (_, offset) => recordOf({ offset })))
  for (const latch of latches.slice(0, 4)) latch.open()
  await soon('four', () => rig.committed === 'orders/0@4')
  assert.deepEqual(rig.source.paused, [['orders/0']])
  latches[4]?.open()
  await soon('the end of the pause', () => rig.source.paused.length === 2)
  for (const latch of latches) latch.open()
})
