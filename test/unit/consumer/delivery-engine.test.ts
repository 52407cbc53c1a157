import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CommitInDoubt } from '../../../src/consumer/delivery-store.ts'
import { BadMessage, DependencyDown, RetryAt } from '../../../src/consumer/outcome.ts'
import { SluiceError } from '../../../src/errors.ts'
import { EngineRig, Latch } from '../../support/engine-rig.ts'
import { recordOf } from '../../support/in-memory-source.ts'
import { until } from '../../support/until.ts'

const soon = (what: string, predicate: () => boolean) =>
  until(predicate, { deadlineMs: 3_000, what })

test('records are handled once and their offsets are committed behind the last', async t => {
  const rig = await EngineRig.joined(t)
  await rig.source.deliver([recordOf({ offset: 4 }), recordOf({ offset: 7 })])
  await soon('the commit', () => rig.committed === 'orders/0@8')
  assert.deepEqual(rig.handled.toSorted(), ['m0-4', 'm0-7'])
  assert.equal(rig.store.begins, 1)
})

test('a batch without records moves the position', async t => {
  const rig = await EngineRig.joined(t)
  await rig.source.deliver([], { nextOffset: 12n })
  await soon('the commit', () => rig.committed === 'orders/0@12')
})

test('offsets are not committed beyond a record that is still in work', async t => {
  const latch = new Latch()
  const rig = await EngineRig.joined(t, {
    handler: async ({ id }) => (id === 'm0-1' ? await latch.opened : undefined),
  })
  await rig.source.deliver([0, 1, 2, 3].map(offset => recordOf({ offset })))
  await soon('the others', () => rig.handled.length === 3)
  await soon('the first commit', () => rig.committed === 'orders/0@1')
  latch.open()
  await soon('the last commit', () => rig.committed === 'orders/0@4')
})

test('records of one key are handled one after the other, others meanwhile', async t => {
  const latch = new Latch()
  const rig = await EngineRig.joined(t, {
    handler: async ({ id }) => (id === 'm0-0' ? await latch.opened : undefined),
  })
  await rig.source.deliver([
    recordOf({ offset: 0, key: 'a' }),
    recordOf({ offset: 1, key: 'a' }),
    recordOf({ offset: 2, key: 'b' }),
    recordOf({ offset: 3, key: 'a', headers: { 'twr-ordered': 'false' } }),
    recordOf({ offset: 4 }),
  ])
  await soon('the free ones', () => rig.handled.length === 3)
  assert.deepEqual(rig.handled, ['m0-2', 'm0-3', 'm0-4'])
  latch.open()
  await soon('all', () => rig.handled.length === 5)
  assert.deepEqual(rig.handled.slice(3), ['m0-0', 'm0-1'])
})

test('no more messages are in work than the concurrency allows, over all partitions', async t => {
  let inWork = 0
  let most = 0
  const rig = new EngineRig(t, {
    subscribe: { concurrency: 3 },
    handler: async () => {
      most = Math.max(most, ++inWork)
      await new Promise(settle => setImmediate(settle))
      inWork--
    },
  })
  await rig.source.start(rig.engine)
  await rig.source.join([{ partition: 0 }, { partition: 1 }])
  for (const partition of [0, 1]) {
    await rig.source.deliver(
      Array.from({ length: 50 }, (_, offset) => recordOf({ offset, partition })),
    )
  }
  await soon('all', () => rig.handled.length === 100)
  assert.equal(most, 3)
})

test('a partition with a long queue does not keep another one waiting', async t => {
  const rig = new EngineRig(t, { subscribe: { concurrency: 1 } })
  await rig.source.start(rig.engine)
  rig.holds.set('orders/0', true)
  rig.holds.set('orders/1', true)
  await rig.source.join([{ partition: 0 }, { partition: 1 }])
  await rig.source.deliver(Array.from({ length: 200 }, (_, offset) => recordOf({ offset })))
  await rig.source.deliver([0, 1].map(offset => recordOf({ offset, partition: 1 })))
  rig.holds.set('orders/0', false)
  rig.holds.set('orders/1', false)
  await soon('all', () => rig.handled.length === 202)
  assert.ok(rig.handled.indexOf('m1-1') < 8, `came as number ${rig.handled.indexOf('m1-1')}`)
})

test('a failed message is parked for a retry, its key waits, and the partition goes on', async t => {
  const rig = await EngineRig.joined(t, {
    handler: async ({ id }) => {
      if (id === 'm0-0') throw new TypeError('cannot read x of undefined')
    },
  })
  await rig.source.deliver([
    recordOf({ offset: 0, key: 'a' }),
    recordOf({ offset: 1, key: 'a' }),
    recordOf({ offset: 2, key: 'b' }),
  ])
  await soon('the commit', () => rig.committed === 'orders/0@3')
  const [parked] = rig.store.parked
  assert.ok(parked?.parking.kind === 'retry')
  assert.equal(parked.parking.attempts, 1)
  assert.equal(parked.parking.reason, 'TypeError: cannot read x of undefined')
  assert.deepEqual(rig.handled, ['m0-2'])
  assert.equal(rig.parked, 1)
  const [event] = rig.told('not_done')
  assert.equal(event?.outcome.kind, 'retry')
  assert.equal(event?.attempt, 1)
})

test('a retry at a given time, a hold and a drop are parked as they say', async t => {
  const at = new Date(Date.now() + 60_000)
  const rig = await EngineRig.joined(t, {
    handler: async ({ id }) => {
      if (id === 'm0-0') throw new RetryAt(at, 'later')
      if (id === 'm0-1') return { kind: 'hold', reason: 'ask Ann' }
      return { kind: 'drop', why: 'ignored' }
    },
  })
  await rig.source.deliver([0, 1, 2].map(offset => recordOf({ offset })))
  await soon('the commit', () => rig.committed === 'orders/0@3')
  const byId = new Map(rig.store.parked.map(({ messageId, parking }) => [messageId, parking]))
  assert.deepEqual(byId.get('m0-0'), {
    kind: 'retry',
    due: { at },
    attempts: 1,
    reason: 'RetryAt: later',
  })
  assert.deepEqual(byId.get('m0-1'), { kind: 'hold', attempts: 1, reason: 'ask Ann' })
  assert.deepEqual(byId.get('m0-2'), { kind: 'drop', why: 'ignored' })
})

test('one bad message of five is a dead letter, and the other four are handled', async t => {
  const rig = await EngineRig.joined(t, { subscribe: { deadLetterTopic: 'graveyard' } })
  await rig.source.deliver(
    [0, 1, 2, 3, 4].map(offset => recordOf({ offset, value: offset === 2 ? '{"pin":12' : '1' })),
  )
  await soon('the commit', () => rig.committed === 'orders/0@5')
  assert.equal(rig.handled.length, 4)
  const [dead] = rig.told('dead')
  assert.equal(dead?.messageId, 'm0-2')
  assert.ok(dead.reason.startsWith('SyntaxError: '))
  const [parked] = rig.store.parked
  assert.ok(parked?.parking.kind === 'dead')
  assert.equal(parked.parking.deadLetterTopic, 'graveyard')
})

test('a bad message is only logged when that is wanted', async t => {
  const rig = await EngineRig.joined(t, {
    subscribe: { onBad: 'log' },
    handler: async () => {
      throw new BadMessage('no such customer')
    },
  })
  await rig.source.deliver([recordOf({ offset: 0 }), recordOf({ offset: 1, id: null })])
  await soon('the commit', () => rig.committed === 'orders/0@2')
  assert.deepEqual(
    rig.store.parked.map(({ parking }) => parking),
    [
      { kind: 'drop', why: 'bad' },
      { kind: 'drop', why: 'bad' },
    ],
  )
  assert.deepEqual(rig.store.parked.map(({ messageId }) => messageId).toSorted(), [
    'm0-0',
    'orders/0/1',
  ])
})

test('the last attempt makes a dead letter, counted on from a retry topic', async t => {
  const rig = await EngineRig.joined(t, {
    subscribe: { attemptsMax: 3, order: 'none', redeliver: 'reproduce' },
    handler: async () => {
      throw new Error('no')
    },
  })
  await rig.source.deliver([
    recordOf({ offset: 0, headers: { 'twr-attempt': '1' } }),
    recordOf({ offset: 1, headers: { 'twr-attempt': '2' } }),
  ])
  await soon('the commit', () => rig.committed === 'orders/0@2')
  const byId = new Map(rig.store.parked.map(({ messageId, parking }) => [messageId, parking]))
  const again = byId.get('m0-0')
  assert.ok(again?.kind === 'reproduce')
  assert.equal(again.attempts, 2)
  assert.equal(again.topic, 'orders.billing.retry')
  const dead = byId.get('m0-1')
  assert.ok(dead?.kind === 'dead')
  assert.equal(dead.attempts, 3)
})

test('delayed, expired and foreign records are parked without being handled', async t => {
  const rig = await EngineRig.joined(t)
  const later = new Date(Date.now() + 3_600_000).toISOString()
  const before = new Date(Date.now() - 1_000).toISOString()
  const longAgo = new Date(Date.now() - 7_200_000).toISOString()
  await rig.source.deliver([
    recordOf({ offset: 0, headers: { 'twr-delay-until': later } }),
    recordOf({ offset: 1, headers: { 'twr-expires-at': before } }),
    recordOf({ offset: 2, headers: { 'twr-replay-group': 'other' } }),
    recordOf({ offset: 3, headers: { 'twr-delay-until': longAgo } }),
  ])
  await soon('the commit', () => rig.committed === 'orders/0@4')
  const byId = new Map(rig.store.parked.map(({ messageId, parking }) => [messageId, parking]))
  assert.deepEqual(byId.get('m0-0'), { kind: 'delay', due: { at: new Date(later) } })
  assert.deepEqual(byId.get('m0-1'), { kind: 'drop', why: 'expired' })
  assert.deepEqual(byId.get('m0-2'), { kind: 'drop', why: 'ignored' })
  assert.deepEqual(rig.handled, ['m0-3'])
})

test("a delay that is over only by this host's clock is left to the database", async t => {
  const rig = await EngineRig.joined(t)
  const at = new Date(Date.now() - 60_000)
  await rig.source.deliver([
    recordOf({ offset: 0, headers: { 'twr-delay-until': at.toISOString() } }),
  ])
  await soon('the commit', () => rig.committed === 'orders/0@1')
  assert.deepEqual(rig.store.parked[0]?.parking, { kind: 'delay', due: { at } })
  assert.deepEqual(rig.handled, [])
})

test('a dependency that is down pauses everything, spends nothing, and the record comes again', async t => {
  let isDown = true
  const attempts: number[] = []
  const rig = await EngineRig.joined(t, {
    handler: async ({ id }, { attempt }) => {
      if (id !== 'm0-0') return
      attempts.push(attempt)
      if (isDown) throw new DependencyDown('payments')
    },
  })
  await rig.source.deliver([recordOf({ offset: 0, key: 'a' })])
  await soon('the pause', () => rig.source.paused.at(-1)?.[0] === 'orders/0')
  assert.deepEqual(rig.gate.failures, ['payments'])
  assert.ok(rig.gate.asked.has('payments'))
  assert.equal(rig.engine.state, 'paused')
  await rig.source.deliver([recordOf({ offset: 1, key: 'a' }), recordOf({ offset: 2 })])
  assert.deepEqual(rig.store.parked, [])
  isDown = false
  rig.gate.set('one')
  await soon('all', () => rig.handled.length === 3)
  assert.deepEqual(rig.source.paused.at(-1), [])
  assert.ok(rig.handled.indexOf('m0-0') < rig.handled.indexOf('m0-1'))
  assert.deepEqual(attempts, [1, 1])
  assert.deepEqual(rig.store.parked, [])
})

test('a half-open breaker lets one message try, not as many as there are', async t => {
  const latch = new Latch()
  let begun = 0
  const rig = new EngineRig(t, {
    handler: async () => {
      begun++
      await latch.opened
    },
  })
  rig.gate.set('one')
  await rig.source.start(rig.engine)
  await rig.source.join()
  await rig.source.deliver([0, 1, 2, 3].map(offset => recordOf({ offset })))
  await soon('the first', () => begun === 1)
  await new Promise(settle => setImmediate(settle))
  assert.equal(begun, 1)
  latch.open()
  await soon('all', () => rig.handled.length === 4)
})

test('a store that fails is a database that is down, and nothing is lost by it', async t => {
  const rig = await EngineRig.joined(t)
  rig.gate.onFailure = 'all'
  rig.store.deliverErrors.push(new SluiceError('database', 'gone'))
  rig.store.parkErrors.push(new SluiceError('database', 'gone'))
  await rig.source.deliver([recordOf({ offset: 0 }), recordOf({ offset: 1, value: 'x' })])
  await soon('the commit', () => rig.committed === 'orders/0@2')
  assert.deepEqual(rig.gate.failures, ['postgres', 'postgres'])
  assert.deepEqual(rig.handled, ['m0-0'])
  assert.equal(rig.store.parked.length, 1)
})

test('a commit in doubt is tried again, and the inbox knows that it was made', async t => {
  const rig = await EngineRig.joined(t)
  rig.gate.onFailure = 'all'
  rig.store.commitErrors.push(new CommitInDoubt('no answer'))
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the commit', () => rig.committed === 'orders/0@1')
  assert.deepEqual(rig.handled, ['m0-0'])
  assert.equal(rig.told('delivered').at(-1)?.duplicates, 1)
})

test('a transaction that lost against another one is run again at once', async t => {
  let runs = 0
  const rig = await EngineRig.joined(t, {
    handler: async () => {
      if (++runs < 4) throw Object.assign(new Error('deadlock detected'), { code: '40P01' })
    },
  })
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the commit', () => rig.committed === 'orders/0@1')
  assert.equal(runs, 4)
  assert.deepEqual(rig.told('not_done'), [])
})

test('one that always loses is parked after five more runs', async t => {
  let runs = 0
  const rig = await EngineRig.joined(t, {
    handler: async () => {
      runs++
      throw Object.assign(new Error('could not serialize'), { code: '40001' })
    },
  })
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the commit', () => rig.committed === 'orders/0@1')
  assert.equal(runs, 6)
  assert.equal(rig.store.parked[0]?.parking.kind, 'retry')
})

test('a handler that takes too long is aborted, and its message is tried again later', async t => {
  let aborted = false
  const rig = await EngineRig.joined(t, {
    subscribe: { handlerTimeoutMs: 20 },
    handler: async (_, { signal }) => {
      await new Promise<void>(settle => signal.addEventListener('abort', () => settle()))
      aborted = true
    },
  })
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the commit', () => rig.committed === 'orders/0@1')
  const [parked] = rig.store.parked
  assert.ok(parked?.parking.kind === 'retry')
  assert.equal(parked.parking.reason, 'handler_timeout')
  assert.equal(aborted, true)
})

test('without an inbox messages are handled in a transaction, and nothing is remembered', async t => {
  const rig = await EngineRig.joined(t, { subscribe: { dedup: 'none' } })
  await rig.source.deliver([recordOf({ offset: 0, id: 'x' }), recordOf({ offset: 1, id: 'x' })])
  await soon('the commit', () => rig.committed === 'orders/0@2')
  assert.deepEqual(rig.handled, ['x', 'x'])
  assert.equal(rig.store.inbox.size, 0)
})

test('with order by partition a retry holds the partition, in its place', async t => {
  let failures = 2
  const attempts: number[] = []
  const rig = await EngineRig.joined(t, {
    subscribe: { order: 'partition', retry: { baseMs: 1, maxMs: 5 } },
    handler: async ({ id }, { attempt }) => {
      if (id !== 'm0-0') return
      attempts.push(attempt)
      if (failures-- > 0) throw new Error('not yet')
    },
  })
  await rig.source.deliver([0, 1, 2].map(offset => recordOf({ offset })))
  await soon('the commit', () => rig.committed === 'orders/0@3')
  assert.deepEqual(rig.handled, ['m0-0', 'm0-1', 'm0-2'])
  assert.deepEqual(attempts, [1, 2, 3])
  assert.deepEqual(rig.store.parked, [])
})

test('a dependency that the gate refuses to know is waited for by retries', async t => {
  const rig = await EngineRig.joined(t, {
    handler: async () => {
      throw new DependencyDown('refused')
    },
  })
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the commit', () => rig.committed === 'orders/0@1')
  assert.equal(rig.store.parked[0]?.parking.kind, 'retry')
})

test('a watcher that throws stops nothing', async t => {
  const rig = await EngineRig.joined(t)
  rig.events.push = () => {
    throw new Error('my metrics')
  }
  await rig.source.deliver([recordOf({ offset: 0 })])
  await soon('the commit', () => rig.committed === 'orders/0@1')
  assert.match(String(rig.listenerErrors[0]), /my metrics/)
})

test('a record that comes just as the only worker leaves is handled', async t => {
  const rig = await EngineRig.joined(t, {
    subscribe: { concurrency: 1 },
    limits: { commitEveryMs: 3_600_000 },
  })
  for (let turns = 0; turns < 60; turns++) {
    await rig.source.deliver([recordOf({ offset: turns * 2 })])
    // A different number of steps each time, so that one of them meets the moment.
    for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    await rig.source.deliver([recordOf({ offset: turns * 2 + 1 })])
    for (let waited = 0; rig.handled.length < turns * 2 + 2; waited++) {
      assert.ok(waited < 1_000, `stuck after ${turns} steps`)
      await new Promise(settle => setImmediate(settle))
    }
  }
})
