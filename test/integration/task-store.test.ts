import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from '../../src/postgres/database.ts'
import { claimStatement } from '../../src/waiting-room/claim-tasks.ts'
import { PostgresTaskStore } from '../../src/waiting-room/postgres-task-store.ts'
import type { ClaimedTask } from '../../src/waiting-room/task-store.ts'
import {
  CONTROL,
  connectTo,
  GROUP,
  keysOf,
  openRoom,
  parkTask,
  type RoomParts,
  TOPIC,
  taskOf,
  toldTo,
} from '../support/task-room.ts'
import { until } from '../support/until.ts'

const LEASE_MS = 30_000

async function claimOne({ store }: RoomParts, leaseMs = LEASE_MS): Promise<ClaimedTask> {
  const [task] = await store.claim({ limit: 1, leaseMs })
  assert.ok(task, 'nothing could be claimed')
  return task
}

async function claimLater(room: RoomParts): Promise<ClaimedTask> {
  let found: ClaimedTask | undefined
  const claimed = async () => {
    ;[found] = await room.store.claim({ limit: 1, leaseMs: LEASE_MS })
    return found !== undefined
  }
  await until(claimed, { deadlineMs: 10_000, what: 'a task can be claimed' })
  return found!
}

test('a task is claimed when it is due, not before, with its record as it was', async t => {
  const room = await openRoom(t)
  const { sql, store } = room
  const later = await parkTask(sql, { dueInMs: 60_000 })
  const due = await parkTask(sql, {
    key: 'k',
    value: '\0bytes',
    headers: [
      ['event_id', 'e1'],
      ['h', '1'],
      ['h', '2'],
    ],
    offset: 9_007_199_254_740_993n,
    messageId: 'm1',
    attempts: 2,
  })
  const tasks = await store.claim({ limit: 10, leaseMs: LEASE_MS })
  assert.deepEqual(
    tasks.map(({ id }) => id),
    [due],
  )
  const [task] = tasks
  assert.ok(task)
  assert.equal(task.record.offset, 9_007_199_254_740_993n)
  assert.equal(task.record.value?.toString(), '\0bytes')
  assert.equal(task.record.key?.toString(), 'k')
  assert.deepEqual(
    task.record.headers.map(({ name, value }) => `${name}=${value}`),
    ['event_id=e1', 'h=1', 'h=2'],
  )
  assert.equal(task.messageId, 'm1')
  assert.equal(task.attempts, 3)
  const row = await taskOf(sql, due)
  assert.equal(row?.token, task.token)
  assert.ok(row && row.due_in_ms > LEASE_MS - 10_000, 'the lease lasts as long as asked')
  assert.equal((await taskOf(sql, later))?.attempts, 0)
  assert.deepEqual(await store.claim({ limit: 10, leaseMs: LEASE_MS }), [])
})

test('the time to the next task is told by the database, 0 for what is due', async t => {
  const { sql, store } = await openRoom(t)
  assert.equal(await store.nextDueInMs(), null)
  await parkTask(sql, { dueInMs: 50_000 })
  const inMs = await store.nextDueInMs()
  assert.ok(inMs !== null && inMs > 30_000 && inMs <= 50_000, `in ${inMs} ms`)
  await parkTask(sql, { dueInMs: -5_000 })
  assert.equal(await store.nextDueInMs(), 0)
})

test('of a key only the first is claimed, and a completed one lets the next go', async t => {
  const room = await openRoom(t, { controlTopic: CONTROL })
  const { sql, store } = room
  const ids = []
  for (const key of ['a', 'a', 'a', 'b']) ids.push(await parkTask(sql, { key }))
  const tasks = await store.claim({ limit: 10, leaseMs: LEASE_MS })
  assert.deepEqual(tasks.map(({ id }) => id).sort(), [ids[0], ids[3]].sort())
  assert.deepEqual(await keysOf(sql), { a: 3, b: 1 })
  for (const task of tasks) assert.equal(await store.complete(task, async () => {}), true)
  assert.deepEqual(await keysOf(sql), { a: 2 })
  const second = await claimOne(room)
  assert.equal(second.id, ids[1])
  assert.equal(await store.complete(second, async () => {}), true)
  const third = await claimOne(room)
  assert.equal(third.id, ids[2])
  assert.equal(await store.complete(third, async () => {}), true)
  assert.deepEqual(await keysOf(sql), {})
  assert.equal((await sql`select from waiting_room.tasks`).length, 0)
  const told = await toldTo(sql, CONTROL)
  assert.equal(told.filter(({ event_type }) => event_type === 'twr.completed').length, 4)
  assert.equal(told.filter(({ event_type }) => event_type === 'twr.resumed').length, 2)
  assert.equal(told[0]?.payload.state, 'done')
  assert.equal(told[0]?.headers['twr-group'], GROUP)
})

test('the next of a key still waits for its own time', async t => {
  const room = await openRoom(t)
  const { sql, store } = room
  await parkTask(sql, { key: 'a' })
  const next = await parkTask(sql, { key: 'a', dueInMs: 60_000 })
  await store.complete(await claimOne(room), async () => {})
  const row = await taskOf(sql, next)
  assert.equal(row?.state, 'waiting')
  assert.ok(row && row.due_in_ms > 30_000)
})

test('effects are committed with the task, or not at all', async t => {
  const room = await openRoom(t)
  const { sql, store } = room
  await sql`create table effect (n int)`
  const id = await parkTask(sql, { key: 'a' })
  const task = await claimOne(room)
  const failing = store.complete(task, async tx => {
    await tx`insert into effect values (1)`
    throw new TypeError('the handler is broken')
  })
  await assert.rejects(failing, { name: 'TypeError', message: 'the handler is broken' })
  assert.equal((await sql`select from effect`).length, 0)
  assert.equal((await taskOf(sql, id))?.state, 'waiting')
  const done = await store.complete(task, async tx => {
    await tx`insert into effect values (2)`
  })
  assert.equal(done, true)
  assert.deepEqual([...(await sql`select n from effect`)], [{ n: 2 }])
})

test('the task of a dead worker comes back, and what the worker does past its lease changes nothing', async t => {
  const room = await openRoom(t, { controlTopic: CONTROL })
  const { sql, store } = room
  await sql`create table effect (n int)`
  const id = await parkTask(sql, { key: 'a' })
  await parkTask(sql, { key: 'a' })
  const zombie = await claimOne(room, 100)
  const heir = await claimLater(room)
  assert.equal(heir.id, id)
  assert.equal(heir.attempts, 2)
  const effects = async (tx: Parameters<Parameters<typeof store.complete>[1]>[0]) => {
    await tx`insert into effect values (1)`
  }
  const before = await taskOf(sql, id)
  assert.equal(await store.complete(zombie, effects), false)
  assert.equal(await store.renew(zombie, LEASE_MS), false)
  const due = { inMs: 0 }
  for (const end of [
    { kind: 'retry', due, reason: 'r' },
    { kind: 'hold', reason: 'r' },
    { kind: 'dead', reason: 'r', deadLetterTopic: 'orders.dlt' },
    { kind: 'drop', why: 'expired' },
    { kind: 'give_back', due },
  ] as const) {
    assert.equal(await store.end(zombie, end), false, end.kind)
  }
  const after = await taskOf(sql, id)
  assert.deepEqual({ ...after, due_in_ms: 0 }, { ...before, due_in_ms: 0 })
  assert.equal((await sql`select from effect`).length, 0)
  assert.deepEqual(await keysOf(sql), { a: 2 })
  assert.deepEqual(await toldTo(sql, 'orders.dlt'), [])
  assert.deepEqual(await toldTo(sql, CONTROL), [])
  assert.equal(await store.complete(heir, effects), true)
})

test('a lease that is over counts for nothing, even when nobody has taken the task', async t => {
  const room = await openRoom(t)
  const { sql, store } = room
  const id = await parkTask(sql)
  const task = await claimOne(room, 50)
  const over = async () => ((await taskOf(sql, id))?.due_in_ms ?? 0) < 0
  await until(over, { deadlineMs: 5_000, what: 'the lease is over' })
  assert.equal(await store.complete(task, async () => {}), false)
  assert.equal((await taskOf(sql, id))?.state, 'waiting')
})

test('a renewed lease keeps others away', async t => {
  const room = await openRoom(t)
  const { sql, store } = room
  const id = await parkTask(sql)
  const task = await claimOne(room, 5_000)
  assert.equal(await store.renew(task, 600_000), true)
  assert.ok(((await taskOf(sql, id))?.due_in_ms ?? 0) > 500_000)
  assert.equal(await store.complete(task, async () => {}), true)
})

test('a failed task waits for its time, and keeps its last twenty failures', async t => {
  const room = await openRoom(t, { controlTopic: CONTROL })
  const { sql, store } = room
  const id = await parkTask(sql, { key: 'a' })
  for (let n = 1; n <= 22; n++) {
    const task = await claimOne(room)
    assert.equal(task.attempts, n)
    const end = { kind: 'retry', due: { inMs: 0 }, reason: `failure\0${n}` } as const
    assert.equal(await store.end(task, end), true)
  }
  const row = await taskOf(sql, id)
  assert.equal(row?.history.length, 20)
  assert.deepEqual(
    [row?.history[0]?.attempt, row?.history[19]?.attempt, row?.history[19]?.reason],
    [3, 22, 'failure\u{fffd}22'],
  )
  assert.equal(row?.last_error, 'failure\u{fffd}22')
  assert.equal(row?.token, null)
  assert.equal((await toldTo(sql, CONTROL)).length, 22)
  const at = new Date(Date.now() + 90_000)
  await store.end(await claimOne(room), { kind: 'retry', due: { at }, reason: 'later' })
  const [due] = await sql<{ due_at: Date }[]>`select due_at from waiting_room.tasks`
  assert.equal(due?.due_at.getTime(), at.getTime())
  assert.deepEqual(await keysOf(sql), { a: 1 })
})

test('a task given back has not lost its attempt', async t => {
  const room = await openRoom(t)
  const { sql, store } = room
  const id = await parkTask(sql, { attempts: 4 })
  const task = await claimOne(room)
  assert.equal(task.attempts, 5)
  assert.equal(await store.end(task, { kind: 'give_back', due: { inMs: 60_000 } }), true)
  const row = await taskOf(sql, id)
  assert.deepEqual([row?.attempts, row?.token, row?.state], [4, null, 'waiting'])
  assert.ok(row && row.due_in_ms > 30_000)
})

test('a held task keeps its key waiting', async t => {
  const room = await openRoom(t, { controlTopic: CONTROL })
  const { sql, store } = room
  const id = await parkTask(sql, { key: 'a' })
  await parkTask(sql, { key: 'a' })
  await store.end(await claimOne(room), { kind: 'hold', reason: 'a person must look' })
  assert.equal((await taskOf(sql, id))?.state, 'held')
  assert.deepEqual(await store.claim({ limit: 5, leaseMs: LEASE_MS }), [])
  assert.deepEqual(await keysOf(sql), { a: 2 })
  assert.equal((await toldTo(sql, CONTROL))[0]?.event_type, 'twr.held')
})

test('a dead letter keeps its record, is published with it, and lets its key go on', async t => {
  const room = await openRoom(t, { controlTopic: CONTROL })
  const { sql, store } = room
  const eventId = 'b7f1a9a2-6a3c-4a53-9d07-0a4a4d7a0001'
  const id = await parkTask(sql, {
    key: 'a\0',
    value: '{"n":1}',
    offset: 7n,
    headers: [
      ['event_id', eventId],
      ['event_type', 'OrderPlaced'],
      ['source', 'shop'],
    ],
  })
  const next = await parkTask(sql, { key: 'a\0' })
  const end = { kind: 'dead', reason: 'no such order', deadLetterTopic: 'orders.dlt' } as const
  assert.equal(await store.end(await claimOne(room), end), true)
  assert.equal((await taskOf(sql, id))?.state, 'dead')
  assert.equal((await taskOf(sql, next))?.state, 'waiting')
  const [letter] = await sql`
    select event_id, key, event_type, payload_bytes, headers from outbox.events where topic = 'orders.dlt'`
  assert.deepEqual(letter, {
    event_id: eventId,
    key: 'a\u{fffd}',
    event_type: 'OrderPlaced',
    payload_bytes: Buffer.from('{"n":1}'),
    headers: { source: 'shop', 'twr-origin': `${TOPIC}/0/7`, 'twr-error': 'no such order' },
  })
})

test('an expired task and an unwanted one leave their keys', async t => {
  const room = await openRoom(t)
  const { sql, store } = room
  const ids = []
  for (let n = 0; n < 3; n++) ids.push(await parkTask(sql, { key: 'a' }))
  assert.equal(await store.end(await claimOne(room), { kind: 'drop', why: 'expired' }), true)
  assert.equal(await store.end(await claimOne(room), { kind: 'drop', why: 'ignored' }), true)
  assert.equal((await taskOf(sql, ids[0]!))?.state, 'expired')
  assert.equal((await taskOf(sql, ids[1]!))?.state, 'removed')
  assert.equal((await taskOf(sql, ids[2]!))?.state, 'waiting')
  assert.deepEqual(await keysOf(sql), { a: 1 })
})

test('a task with a retry topic is published there under a new id, with its attempts', async t => {
  const room = await openRoom(t, { controlTopic: CONTROL })
  const { sql, store } = room
  await parkTask(sql, {
    messageId: 'm1',
    attempts: 2,
    offset: 5n,
    retryTopic: 'orders.orders-service.retry',
    headers: [
      ['event_id', 'e1'],
      ['event_type', 'OrderPlaced'],
    ],
  })
  assert.equal(await store.reproduce(await claimOne(room)), true)
  const [copy] = await toldTo(sql, 'orders.orders-service.retry')
  assert.deepEqual(copy?.headers, {
    'twr-attempt': '2',
    'twr-replay-of': 'm1',
    'twr-origin': `${TOPIC}/0/5`,
  })
  assert.equal((await sql`select from waiting_room.tasks`).length, 0)
  assert.equal((await toldTo(sql, CONTROL))[0]?.event_type, 'twr.reproduced')
})

test('what is held is not claimed: a group, a topic, a partition, a key', async t => {
  const { sql, store } = await openRoom(t)
  const open = await parkTask(sql, { topic: 'c', partition: 1, key: 'open' })
  await parkTask(sql, { topic: 'a', partition: 0, key: 'x' })
  await parkTask(sql, { topic: 'a', partition: 3 })
  await parkTask(sql, { topic: 'b', partition: 2 })
  await parkTask(sql, { topic: 'c', partition: 1, key: 'shut' })
  await sql`update waiting_room.keys set held_until = 'infinity' where key = 'shut'`
  const hold = (topic: string, partition: number, until: string) => sql`
    insert into waiting_room.holds (group_id, topic, partition, held_until, reason, held_by)
    values (${GROUP}, ${topic}, ${partition}, ${until}::text::timestamptz, 'r', 'me')
    on conflict (group_id, topic, partition) do update set held_until = excluded.held_until`
  await hold('*', -1, 'infinity')
  assert.deepEqual(await store.claim({ limit: 9, leaseMs: LEASE_MS }), [])
  await hold('*', -1, '2020-01-01')
  await hold('a', -1, 'infinity')
  await hold('b', 2, 'infinity')
  const tasks = await store.claim({ limit: 9, leaseMs: LEASE_MS })
  assert.deepEqual(
    tasks.map(({ id }) => id),
    [open],
  )
  await sql`delete from waiting_room.holds`
  assert.equal((await store.claim({ limit: 9, leaseMs: LEASE_MS })).length, 3)
  await sql`update waiting_room.keys set held_until = now() - interval '1 second'`
  assert.equal((await store.claim({ limit: 9, leaseMs: LEASE_MS })).length, 1)
})

for (const statistics of ['none', 'of an empty room', 'of a full room']) {
  test(`a claim reads no more of a long queue than it needs, with statistics ${statistics}`, async t => {
    const { sql, database } = await openRoom(t)
    const fill = (state: string) => sql`
      insert into waiting_room.tasks (
        group_id, message_id, topic, partition, "offset", key, record_at, ordered, state, due_at
      )
      select ${GROUP}, ${state}::text || n, 't' || n % 3, n % 4, n, convert_to(n::text, 'UTF8'), now(), true,
        ${state}, now() - n * interval '1 ms'
      from generate_series(1, 30000) n`
    if (statistics === 'of an empty room') {
      await fill('dead')
      await sql`analyze waiting_room.tasks`
    }
    await fill('waiting')
    await sql`
      insert into waiting_room.keys (group_id, topic, key, open)
      select group_id, topic, key, 1 from waiting_room.tasks where state = 'waiting'`
    if (statistics === 'of a full room') await sql`analyze waiting_room.tasks`
    const read = () => rowsRead(database)
    assert.deepEqual(await read(), { tasks_due: 40, tasks_pkey: 20 })
    await sql`
      insert into waiting_room.holds (group_id, topic, reason, held_by) values
        (${GROUP}, 't0', 'r', 'me'), (${GROUP}, 't1', 'r', 'me')`
    // Twelve partitions to find, and four of them to read.
    assert.deepEqual(await read(), { tasks_due_of_partition: 12 + 4 * 40, tasks_pkey: 20 })
  })
}

/** What a claim of ten reads of the tasks, by index. */
async function rowsRead(database: Database): Promise<Record<string, number>> {
  const rows = await database.run('explaining', sql => {
    const statement = claimStatement(sql, GROUP, { limit: 10, leaseMs: LEASE_MS })
    return sql<{ 'QUERY PLAN': string }[]>`explain (analyze, costs off, timing off) ${statement}`
  })
  const plan = rows.map(row => row['QUERY PLAN']).join('\n')
  assert.doesNotMatch(plan, /Seq Scan|Bitmap|Sort Key: t/)
  const read: Record<string, number> = {}
  const scan = /using (tasks_\w+) on \w+ \w+ \(actual rows=([\d.]+) loops=(\d+)\)/g
  for (const [, index, rows, loops] of plan.matchAll(scan)) {
    if (Number(rows) > 0) {
      read[index!] = Math.round((read[index!] ?? 0) + Number(rows) * Number(loops))
    }
  }
  return read
}

test('another group is left alone', async t => {
  const { sql, store } = await openRoom(t)
  await parkTask(sql, { group: 'others' })
  assert.deepEqual(await store.claim({ limit: 9, leaseMs: LEASE_MS }), [])
  assert.equal(await store.nextDueInMs(), null)
})

test('stores that claim at once share the tasks, none gets one twice', async t => {
  const room = await openRoom(t)
  const { sql, url } = room
  const ids = new Set<string>()
  for (let n = 0; n < 60; n++) ids.add(await parkTask(sql, { key: `k${n % 40}` }))
  const stores = [0, 1, 2].map(
    () => new PostgresTaskStore({ ...connectTo(t, url), group: GROUP, controlTopic: null }),
  )
  const claims: string[] = []
  const drain = async (store: (typeof stores)[number]) => {
    for (;;) {
      const tasks = await store.claim({ limit: 3, leaseMs: LEASE_MS })
      if (tasks.length === 0 && (await sql`select from waiting_room.tasks`).length === 0) return
      claims.push(...tasks.map(({ id }) => id))
      for (const task of tasks) assert.equal(await store.complete(task, async () => {}), true)
    }
  }
  await Promise.all(stores.map(drain))
  assert.equal(claims.length, 60)
  assert.deepEqual(new Set(claims), ids)
})
