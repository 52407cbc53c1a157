import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ConsumerEvent } from '../../src/consumer/consumer-events.ts'
import type { TransactionPool } from '../../src/postgres/transaction-pool.ts'
import { Sweeper, type SweeperOptions } from '../../src/waiting-room/sweeper.ts'
import { cleanup } from '../support/cleanup.ts'
import {
  CONTROL,
  GROUP,
  keysOf,
  openRoom,
  parkTask,
  type RoomParts,
  taskOf,
  toldTo,
} from '../support/task-room.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 20_000
const LEASE_MS = 30_000

function start(t: TestContext, { pool }: RoomParts, options: Partial<SweeperOptions> = {}) {
  const events: ConsumerEvent[] = []
  const sweeper = new Sweeper({
    pool,
    group: GROUP,
    controlTopic: CONTROL,
    inboxRetentionMs: null,
    onEvent: event => {
      events.push(event)
    },
    everyMs: 10,
    pruneEveryMs: 10,
    ...options,
  })
  cleanup(t, () => sweeper.stop())
  const repaired = () =>
    events.reduce((sum, event) => sum + (event.kind === 'repaired' ? event.keys : 0), 0)
  return { sweeper, events, repaired }
}

test('tasks too old end, and what waited behind them may run', async t => {
  const room = await openRoom(t)
  const { sql, store } = room
  const ids = []
  for (const expiresInMs of [-1, 600_000, -1]) {
    ids.push(await parkTask(sql, { key: 'k', expiresInMs, dueInMs: 600_000 }))
  }
  await sql`update waiting_room.tasks set due_at = now() where id = ${ids[1]!}`
  const lonely = await parkTask(sql, { expiresInMs: -1, dueInMs: 600_000 })
  const [held] = [await parkTask(sql, { key: 'h', expiresInMs: -1 })]
  await sql`update waiting_room.tasks set state = 'held' where id = ${held}`
  const other = await parkTask(sql, { group: 'others', expiresInMs: -1 })
  const { events, repaired } = start(t, room)
  const swept = () =>
    events.reduce((sum, event) => sum + (event.kind === 'swept' ? event.expired : 0), 0)
  await until(() => swept() === 4, { deadlineMs: DEADLINE_MS, what: 'four have ended' })
  for (const id of [ids[0]!, ids[2]!, lonely, held]) {
    assert.equal((await taskOf(sql, id))?.state, 'expired')
  }
  assert.equal((await taskOf(sql, other))?.state, 'waiting')
  assert.deepEqual(await keysOf(sql), { k: 1 })
  const claimed = await store.claim({ limit: 9, leaseMs: LEASE_MS })
  assert.deepEqual(
    claimed.map(({ id }) => id),
    [ids[1]],
  )
  const told = await toldTo(sql, CONTROL)
  assert.equal(told.filter(({ event_type }) => event_type === 'twr.expired').length, 4)
  assert.equal(repaired(), 0)
})

test('a task in work is not ended, however old', async t => {
  const room = await openRoom(t)
  const { sql, store } = room
  const id = await parkTask(sql, { key: 'k', expiresInMs: 0 })
  const [task] = await store.claim({ limit: 1, leaseMs: LEASE_MS })
  const other = await parkTask(sql, { expiresInMs: -1, dueInMs: 600_000 })
  start(t, room)
  const ended = async () => (await taskOf(sql, other))?.state === 'expired'
  await until(ended, { deadlineMs: DEADLINE_MS, what: 'the other has ended' })
  assert.equal((await taskOf(sql, id))?.state, 'waiting')
  assert.equal(await store.complete(task!, async () => {}), true)
})

test('a key that nothing lets go on is mended, and told of', async t => {
  const room = await openRoom(t)
  const { sql } = room
  const first = await parkTask(sql, { key: 'headless' })
  const second = await parkTask(sql, { key: 'headless' })
  await sql`delete from waiting_room.tasks where id = ${first}`
  await parkTask(sql, { key: 'miscounted' })
  await sql`update waiting_room.keys set open = 7 where key = 'miscounted'`
  await parkTask(sql, { key: 'sound' })
  await sql`
    insert into waiting_room.keys (group_id, topic, key, open, held_until) values
      (${GROUP}, 'orders', 'was held', 0, now() - interval '1 second'), (${GROUP}, 'orders', 'is held', 0, 'infinity')`
  const { repaired } = start(t, room)
  await until(() => repaired() >= 2, { deadlineMs: DEADLINE_MS, what: 'both are mended' })
  const spared = async () => !('was held' in (await keysOf(sql)))
  await until(spared, { deadlineMs: DEADLINE_MS, what: 'a hold that is over is forgotten' })
  assert.equal((await taskOf(sql, second))?.state, 'waiting')
  assert.deepEqual(await keysOf(sql), { headless: 1, 'is held': 0, miscounted: 1, sound: 1 })
  assert.equal(repaired(), 2)
})

test('many keys are looked at page by page', async t => {
  const room = await openRoom(t)
  const { sql } = room
  await sql`
    insert into waiting_room.keys (group_id, topic, key, open, held_until)
    select ${GROUP}, 'orders', convert_to('k' || n, 'UTF8'), 0, 'infinity' from generate_series(1, 1300) n`
  await sql`update waiting_room.keys set open = 1 where key in ('k1', 'k999')`
  const { repaired } = start(t, room)
  await until(() => repaired() === 2, { deadlineMs: DEADLINE_MS, what: 'both are found' })
  const sums = Object.values(await keysOf(sql))
  assert.equal(sums.length, 1_300)
  assert.ok(sums.every(open => open === 0))
})

test('keys in heavy use are never taken for broken', async t => {
  const room = await openRoom(t)
  const { sql, store } = room
  const sweepers = [start(t, room, { everyMs: 1 }), start(t, room, { everyMs: 1 })]
  let parked = 0
  const park = async (worker: number) => {
    for (let n = 0; n < 60; n++) {
      await parkTask(sql, {
        key: `k${(n * 7 + worker) % 4}`,
        expiresInMs: n % 5 === 0 ? 1 : 600_000,
      })
      parked++
    }
  }
  const work = async () => {
    for (;;) {
      const tasks = await store.claim({ limit: 3, leaseMs: LEASE_MS })
      for (const [n, task] of tasks.entries()) {
        if (n === 1 && task.attempts === 1) {
          await store.end(task, { kind: 'retry', due: { inMs: 1 }, reason: 'again' })
        } else if (n === 2) {
          await store.end(task, { kind: 'dead', reason: 'bad', deadLetterTopic: null })
        } else await store.complete(task, async () => {})
      }
      const open = await sql`
        select from waiting_room.tasks where state in ('waiting', 'behind', 'held') limit 1`
      if (parked === 120 && open.length === 0) return
    }
  }
  await Promise.all([park(0), park(1), work(), work()])
  assert.deepEqual(await keysOf(sql), {})
  for (const { repaired, events, sweeper } of sweepers) {
    await sweeper.stop()
    assert.equal(repaired(), 0)
    assert.deepEqual(
      events.filter(({ kind }) => kind === 'store_failed'),
      [],
    )
  }
})

test('the inbox forgets what is older than its retention, of its group alone', async t => {
  const room = await openRoom(t)
  const { sql } = room
  await sql`
    insert into waiting_room.inbox (group_id, message_id, topic, partition, "offset", handled_at)
    select g, g || n, 'orders', 0, n, now() - n * interval '1 hour'
    from generate_series(1, 48) n, unnest(array[${GROUP}, 'others']) g`
  start(t, room, { inboxRetentionMs: 24.5 * 3_600_000 })
  const count = async (group: string) =>
    (await sql`select from waiting_room.inbox where group_id = ${group}`).length
  const pruned = async () => (await count(GROUP)) === 24
  await until(pruned, { deadlineMs: DEADLINE_MS, what: 'the older half is forgotten' })
  assert.equal(await count('others'), 48)
})

test('tasks that ended are kept for a while, dead ones for good, and holds until they are over', async t => {
  const room = await openRoom(t)
  const { sql } = room
  const states = ['expired', 'removed', 'dead'] as const
  for (const state of states) {
    for (const age of ['8 days', '6 days']) {
      const id = await parkTask(sql, { messageId: `${state}, ${age}` })
      await sql`
        update waiting_room.tasks set state = ${state}, changed_at = now() - ${age}::text::interval where id = ${id}`
    }
  }
  await sql`
    insert into waiting_room.holds (group_id, topic, held_until, reason, held_by) values
      (${GROUP}, 'a', now() - interval '1 second', 'r', 'me'), (${GROUP}, 'b', 'infinity', 'r', 'me')`
  start(t, room)
  const ids = async () =>
    (await sql`select message_id from waiting_room.tasks order by id`).map(
      ({ message_id }) => message_id,
    )
  await until(async () => (await ids()).length === 4, {
    deadlineMs: DEADLINE_MS,
    what: 'the oldest are gone',
  })
  assert.deepEqual(await ids(), [
    'expired, 6 days',
    'removed, 6 days',
    'dead, 8 days',
    'dead, 6 days',
  ])
  assert.deepEqual(
    (await sql`select topic from waiting_room.holds`).map(({ topic }) => topic),
    ['b'],
  )
})

test('of a group one sweeper is at work at a time', async t => {
  const room = await openRoom(t)
  const { sql, pool } = room
  let release = () => {}
  const released = new Promise<void>(resolve => {
    release = resolve
  })
  let isLocked = false
  const rival = pool.transaction(async tx => {
    await tx`select pg_advisory_xact_lock(hashtextextended(${`waiting_room.sweep/${GROUP}`}::text, 0))`
    isLocked = true
    await released
  })
  await until(() => isLocked, { deadlineMs: DEADLINE_MS, what: 'the rival sweeps' })
  const id = await parkTask(sql, { expiresInMs: -1, dueInMs: 600_000 })
  let tried = 0
  const counting: TransactionPool = {
    transaction: (work, options) => pool.transaction(work, options).finally(() => tried++),
    stop: async () => {},
  }
  start(t, { ...room, pool: counting })
  await until(() => tried >= 3, { deadlineMs: DEADLINE_MS, what: 'the sweeper has tried' })
  assert.equal((await taskOf(sql, id))?.state, 'waiting')
  release()
  await rival
  const expired = async () => (await taskOf(sql, id))?.state === 'expired'
  await until(expired, { deadlineMs: DEADLINE_MS, what: 'the task has ended' })
})

test('a failing database is told, and the sweeping goes on', async t => {
  const room = await openRoom(t)
  const { sql } = room
  await sql`alter table waiting_room.tasks rename to elsewhere`
  const { events } = start(t, room)
  const failed = () => events.some(({ kind }) => kind === 'store_failed')
  await until(failed, { deadlineMs: DEADLINE_MS, what: 'the failure is told' })
  await sql`alter table waiting_room.elsewhere rename to tasks`
  const id = await parkTask(sql, { expiresInMs: -1, dueInMs: 600_000 })
  const expired = async () => (await taskOf(sql, id))?.state === 'expired'
  await until(expired, { deadlineMs: DEADLINE_MS, what: 'the task has ended' })
})
