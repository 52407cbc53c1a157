import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { Queries } from '../../src/operator/outbox-access.ts'
import type { Sql } from '../../src/postgres/database.ts'
import { openTransactionPool } from '../../src/postgres/transaction-pool.ts'
import type { TaskCommand, TaskFilter } from '../../src/waiting-room/control-event.ts'
import { lockKeys, settleKeys } from '../../src/waiting-room/settle-keys.ts'
import { applyCommand } from '../../src/waiting-room/task-commands.ts'
import { cleanup } from '../support/cleanup.ts'
import { applyConsumerSchema } from '../support/consumer-schema.ts'
import { createDatabase } from '../support/database.ts'
import { addTasks, assertKeysWhole } from '../support/room-tasks.ts'
import { until } from '../support/until.ts'

const GROUP = 'billing'
const CONTROL = 'twr-inbox'
const BY = { actor: 'kim', reason: 'because' }

/** postgres.js types a transaction by its client, ours by what both have. */
function inTransaction<T>(sql: Sql, work: (tx: Queries) => Promise<T>): Promise<T> {
  return sql.begin(tx => work(tx as unknown as Queries)) as Promise<T>
}

async function setup(t: TestContext) {
  const { sql, url } = await createDatabase(t)
  await applyConsumerSchema(sql)
  const apply = (command: TaskCommand, controlTopic: string | null = CONTROL, group = GROUP) =>
    inTransaction(sql, tx => applyCommand(tx, group, command, controlTopic))
  const release = (filter: TaskFilter) => apply({ type: 'twr.command.release', filter, ...BY })
  const remove = (filter: TaskFilter) => apply({ type: 'twr.command.remove', filter, ...BY })
  const states = async () =>
    Object.fromEntries(
      (
        await sql`
          select message_id, state || case when state = 'waiting' and due_at <= now() then ' due' else '' end as state
          from waiting_room.tasks order by id`
      ).map(row => [row.message_id, row.state]),
    ) as Record<string, string>
  const events = async () =>
    (
      await sql`select payload->>'type' as type, payload->>'messageId' as id, payload->>'state' as state
        from outbox.events order by id`
    ).map(({ type, id, state }) => `${type} ${id} ${state}`)
  return { sql, url, apply, release, remove, states, events }
}

test('release makes waiting and held tasks due now, and leaves alone what is behind or at work', async t => {
  const { sql, release, states, events } = await setup(t)
  await addTasks(sql, [
    { messageId: 'a1', key: 'a' },
    { messageId: 'a2', key: 'a', state: 'behind' },
    { messageId: 'b1', key: 'b', state: 'held', dueInSeconds: -60 },
    { messageId: 'c1', key: 'c' },
    { messageId: 'u1', key: null },
    { messageId: 'other', key: 'a', group: 'mail' },
  ])
  await sql`update waiting_room.tasks set token = gen_random_uuid() where message_id = 'c1'`
  assert.equal(await release({ all: true }), 3)
  assert.deepEqual(await states(), {
    a1: 'waiting due',
    a2: 'behind',
    b1: 'waiting due',
    c1: 'waiting',
    u1: 'waiting due',
    other: 'waiting',
  })
  assert.deepEqual(await events(), [
    'twr.resumed a1 waiting',
    'twr.resumed b1 waiting',
    'twr.resumed u1 waiting',
  ])
  const [changed] = await sql`select rev from waiting_room.tasks where message_id = 'a1'`
  assert.equal(changed?.rev, 2)
  await assertKeysWhole(sql)
})

test('a dead task that is released comes before the later ones of its key that no worker has', async t => {
  const { sql, release, states } = await setup(t)
  const ids = await addTasks(sql, [
    { messageId: 'a1', key: 'a', state: 'dead', attempts: 10 },
    { messageId: 'a2', key: 'a' },
    { messageId: 'a3', key: 'a', state: 'behind' },
    { messageId: 'b1', key: 'b', state: 'dead', attempts: 10 },
    { messageId: 'b2', key: 'b' },
    { messageId: 'c1', key: 'c', state: 'dead', attempts: 10 },
    { messageId: 'd1', key: 'd', state: 'dead', attempts: 10 },
    { messageId: 'd2', key: 'd', state: 'held' },
    { messageId: 'e1', key: 'e' },
    { messageId: 'e2', key: 'e', state: 'dead' },
    { messageId: 'u', key: null, state: 'dead', attempts: 10 },
  ])
  await sql`update waiting_room.tasks set token = gen_random_uuid() where message_id = 'b2'`
  assert.equal(ids.length, 11)
  assert.equal(await release({ state: 'dead' }), 6)
  assert.deepEqual(await states(), {
    a1: 'waiting due',
    a2: 'behind',
    a3: 'behind',
    b1: 'behind',
    b2: 'waiting',
    c1: 'waiting due',
    d1: 'behind',
    d2: 'held',
    e1: 'waiting',
    e2: 'behind',
    u: 'waiting due',
  })
  const rows =
    await sql`select distinct attempts from waiting_room.tasks where message_id in ('a1', 'b1', 'u')`
  assert.deepEqual([...rows], [{ attempts: 0 }])
  await assertKeysWhole(sql)
})

test('removing a head lets the next of its key run, not before its own time', async t => {
  const { sql, remove, states, events } = await setup(t)
  const [first] = await addTasks(sql, [
    { messageId: 'a1', key: 'a' },
    { messageId: 'a2', key: 'a', state: 'behind', dueInSeconds: -5 },
    { messageId: 'b1', key: 'b', topic: 'mail' },
    { messageId: 'b2', key: 'b', topic: 'mail', state: 'behind', dueInSeconds: 600 },
    { messageId: 'c1', key: 'c', state: 'dead' },
  ])
  assert.equal(await remove({ ids: [String(first)] }), 1)
  assert.equal(await remove({ messageIds: ['b1', 'nobody'] }), 1)
  assert.equal(await remove({ key: 'c' }), 1)
  assert.deepEqual(await states(), {
    a1: 'removed',
    a2: 'waiting due',
    b1: 'removed',
    b2: 'waiting',
    c1: 'removed',
  })
  assert.deepEqual(await events(), [
    'twr.removed a1 removed',
    'twr.resumed a2 waiting',
    'twr.removed b1 removed',
    'twr.resumed b2 waiting',
    'twr.removed c1 removed',
  ])
  await assertKeysWhole(sql)
  assert.equal(await remove({ all: true }), 2)
  assert.equal((await sql`select from waiting_room.keys`).length, 0)
  const audit = await sql`select action, actor, reason, rows, subject from outbox.audit order by id`
  assert.equal(audit.length, 4)
  assert.deepEqual(
    [audit[0]?.action, audit[0]?.actor, audit[0]?.reason, audit[0]?.rows],
    ['task.remove', 'kim', 'because', '1'],
  )
  assert.deepEqual(audit[0]?.subject, {
    group: GROUP,
    filter: { ids: [first] },
    tasks: [first],
  })
})

test('a task that a worker has is removed, and the worker finds its claim gone', async t => {
  const { sql, remove } = await setup(t)
  await addTasks(sql, [{ messageId: 'a1', key: 'a' }])
  const [claim] =
    await sql`update waiting_room.tasks set token = gen_random_uuid() returning id, token`
  assert.equal(await remove({ messageIds: ['a1'] }), 1)
  const ended =
    await sql`delete from waiting_room.tasks where id = ${claim?.id} and token = ${claim?.token}`
  assert.equal(ended.count, 0)
})

test('a held key keeps its head from running, until the time or until it is resumed', async t => {
  const { sql, apply, remove, states, events } = await setup(t)
  await addTasks(sql, [
    { messageId: 'a1', key: 'a', dueInSeconds: -5 },
    { messageId: 'a2', key: 'a', state: 'behind' },
    { messageId: 'b1', key: 'b', dueInSeconds: -5 },
  ])
  const a = { topic: 'orders', key: 'a' }
  assert.equal(await apply({ type: 'twr.command.pause', target: a, ...BY }), 1)
  assert.deepEqual(await states(), { a1: 'held', a2: 'behind', b1: 'waiting due' })
  await remove({ messageIds: ['a1'] })
  assert.equal((await states()).a2, 'held')
  await assertKeysWhole(sql)
  const until = '2099-01-01T00:00:00Z'
  await apply({ type: 'twr.command.pause', target: a, until, ...BY })
  const [due] = await sql`select state, due_at from waiting_room.tasks where message_id = 'a2'`
  assert.deepEqual([due?.state, due?.due_at], ['waiting', new Date(until)])
  assert.equal(await apply({ type: 'twr.command.resume', target: a, ...BY }), 1)
  assert.equal((await states()).a2, 'waiting due')
  assert.equal(await apply({ type: 'twr.command.resume', target: a, ...BY }), 0)
  await remove({ all: true })
  assert.equal((await sql`select from waiting_room.keys`).length, 0)
  assert.deepEqual(
    (await events()).filter(event => event.includes(' a2 ')),
    ['twr.held a2 held', 'twr.held a2 waiting', 'twr.resumed a2 waiting', 'twr.removed a2 removed'],
  )
})

test('a key of which nothing waits can be held, and its row goes when it is resumed', async t => {
  const { sql, apply } = await setup(t)
  const target = { topic: 'orders', key: 'z' }
  await apply({ type: 'twr.command.pause', target, ...BY })
  const [row] = await sql`select open, held_until::text, held_reason from waiting_room.keys`
  assert.deepEqual({ ...row }, { open: 0, held_until: 'infinity', held_reason: 'because' })
  await apply({ type: 'twr.command.resume', target, ...BY })
  assert.equal((await sql`select from waiting_room.keys`).length, 0)
})

test('a group, a topic or a partition is held in waiting_room.holds, each for itself', async t => {
  const { sql, apply } = await setup(t)
  const targets = [{}, { topic: 'orders' }, { topic: 'orders', partition: 3 }]
  for (const target of targets) await apply({ type: 'twr.command.pause', target, ...BY })
  await apply({
    type: 'twr.command.pause',
    target: { topic: 'orders' },
    until: '2099-01-01T00:00Z',
    ...BY,
  })
  const holds = await sql`
    select topic, partition, held_until::text like '2099%' as ends, reason, held_by from waiting_room.holds
    order by topic, partition`
  assert.deepEqual(
    holds.map(row => Object.values(row)),
    [
      ['*', -1, false, 'because', 'kim'],
      ['orders', -1, true, 'because', 'kim'],
      ['orders', 3, false, 'because', 'kim'],
    ],
  )
  assert.equal(await apply({ type: 'twr.command.resume', target: { topic: 'orders' }, ...BY }), 1)
  assert.equal(await apply({ type: 'twr.command.resume', target: { topic: 'mail' }, ...BY }), 0)
  assert.equal((await sql`select from waiting_room.holds`).length, 2)
  const actions =
    await sql`select action, count(*)::int as rows from outbox.audit group by 1 order by 1`
  assert.deepEqual(
    actions.map(row => Object.values(row)),
    [
      ['task.pause', 4],
      ['task.resume', 1],
    ],
  )
})

test('a command that means nothing is refused by its field, and a null control topic tells nobody', async t => {
  const { sql, apply, release, remove } = await setup(t)
  await addTasks(sql, [{ messageId: 'a1' }])
  await assert.rejects(remove({}), { code: 'options', message: /filter must name/ })
  await assert.rejects(release({ ids: ['1; drop'] }), { code: 'options', message: /filter\.ids/ })
  await assert.rejects(release({ topic: 'a\0' }), { code: 'options', message: /filter\.topic/ })
  const pause = (target: object, until?: string) =>
    apply({ type: 'twr.command.pause', target, ...(until !== undefined && { until }), ...BY })
  await assert.rejects(pause({ key: 'k' }), { code: 'options', message: /target\.topic/ })
  await assert.rejects(pause({ topic: 't', partition: -2 }), { message: /target\.partition/ })
  await assert.rejects(pause({}, 'tomorrow'), { code: 'options', message: /until/ })
  assert.equal(await remove({ ids: [] }), 0)
  await apply({ type: 'twr.command.remove', filter: { all: true }, ...BY }, null)
  assert.equal((await sql`select from outbox.events`).length, 0)
})

test('a command is applied in a transaction of the kit, too', async t => {
  const { sql, url, states } = await setup(t)
  const pool = openTransactionPool({
    url,
    applicationName: 'sluice test',
    connectionsMax: 1,
    statementTimeoutMs: 10_000,
    idleInTransactionTimeoutMs: 10_000,
  })
  cleanup(t, () => pool.stop())
  await addTasks(sql, [{ messageId: 'a1' }, { messageId: 'a2', state: 'behind' }])
  const commands: TaskCommand[] = [
    { type: 'twr.command.pause', target: { topic: 'orders', key: 'k' }, ...BY },
    { type: 'twr.command.remove', filter: { messageIds: ['a1'] }, ...BY },
    { type: 'twr.command.resume', target: { topic: 'orders', key: 'k' }, ...BY },
    { type: 'twr.command.release', filter: { topic: 'orders' }, ...BY },
  ]
  for (const each of commands) {
    assert.equal(await pool.transaction(tx => applyCommand(tx, GROUP, each, CONTROL)), 1)
  }
  assert.deepEqual(await states(), { a1: 'removed', a2: 'waiting due' })
})

test('a command over many steps takes the locks of its keys in order, and so meets no deadlock', async t => {
  const { sql, remove } = await setup(t)
  // Steps go by id; here the later a step, the earlier its key.
  const tasks = Array.from({ length: 2_500 }, (_, index) => ({
    messageId: `m${index}`,
    key: `k${9 - Math.floor(index / 1_000)}`,
    state: index % 1_000 ? ('behind' as const) : ('waiting' as const),
  }))
  await addTasks(sql, tasks)
  const name = (key: string) => ({ topic: 'orders', key: Buffer.from(key).toString('hex') })
  let removing: Promise<number> | undefined
  await inTransaction(sql, async tx => {
    await lockKeys(tx, GROUP, [name('k7')])
    removing = remove({ topic: 'orders' })
    await until(async () => (await sql`select from pg_locks where not granted`).length > 0, {
      deadlineMs: 10_000,
      what: 'the removal waits for the key',
    })
    await lockKeys(tx, GROUP, [name('k9')])
  })
  assert.equal(await removing, 2_500)
  assert.equal((await sql`select from waiting_room.keys`).length, 0)
  const audit =
    await sql`select rows, jsonb_array_length(subject -> 'tasks') as ids from outbox.audit order by id`
  assert.deepEqual(
    audit.map(({ rows, ids }) => [rows, ids]),
    [
      ['1000', 1_000],
      ['1000', 1_000],
      ['500', 500],
    ],
  )
})

test('a filter by state means those that have it when the command comes', async t => {
  const { sql, remove } = await setup(t)
  const heads = Array.from({ length: 1_200 }, (_, n) => ({ messageId: `h${n}`, key: `k${n}` }))
  const followers = heads.map(({ key }, n) => ({
    messageId: `f${n}`,
    key,
    state: 'behind' as const,
  }))
  await addTasks(sql, [...heads, ...followers])
  assert.equal(await remove({ state: 'waiting' }), 1_200)
  await assertKeysWhole(sql)
  const [left] =
    await sql`select count(*)::int as n from waiting_room.tasks where state = 'waiting'`
  assert.equal(left?.n, 1_200)
})

test('a release and two removals at once leave every key whole', async t => {
  const { sql, release, remove } = await setup(t)
  await addTasks(
    sql,
    Array.from({ length: 1_500 }, (_, index) => ({
      messageId: `m${index}`,
      key: `k${(index * 37) % 100}`,
      state:
        index < 100 ? ('waiting' as const) : index % 5 ? ('behind' as const) : ('dead' as const),
    })),
  )
  const all = { all: true } as const
  await Promise.all([release({ state: 'dead' }), remove({ topic: 'orders' }), remove(all)])
  await assertKeysWhole(sql)
  await remove(all)
  const left = await sql`select from waiting_room.tasks where state <> 'removed'`
  assert.equal(left.length, 0)
})

type Step =
  | { readonly kind: 'park'; readonly key: string; readonly dead: boolean }
  | { readonly kind: 'claim' | 'finish' | 'die' | 'hold' }
  | { readonly kind: 'command'; readonly command: TaskCommand }

const key = fc.constantFrom('a', 'b')
const filter: fc.Arbitrary<TaskFilter> = fc.oneof(
  fc.constant({ all: true as const }),
  key.map(name => ({ key: name })),
  fc.integer({ min: 0, max: 12 }).map(n => ({ messageIds: [`m${n}`] })),
  fc.constantFrom('waiting', 'behind', 'held', 'dead').map(state => ({ state }) as TaskFilter),
)
const command: fc.Arbitrary<TaskCommand> = fc.oneof(
  filter.map(given => ({ type: 'twr.command.release' as const, filter: given, ...BY })),
  filter.map(given => ({ type: 'twr.command.remove' as const, filter: given, ...BY })),
  fc
    .tuple(key, fc.constantFrom(undefined, '2000-01-01T00:00Z', '2099-01-01T00:00Z'))
    .map(([name, until]) => ({
      type: 'twr.command.pause' as const,
      target: { topic: 'orders', key: name },
      ...(until !== undefined && { until }),
      ...BY,
    })),
  key.map(name => ({
    type: 'twr.command.resume' as const,
    target: { topic: 'orders', key: name },
    ...BY,
  })),
)
const steps = fc.array(
  fc.oneof(
    {
      arbitrary: fc.record({ kind: fc.constant('park' as const), key, dead: fc.boolean() }),
      weight: 4,
    },
    {
      arbitrary: fc.record({ kind: fc.constantFrom('claim', 'finish', 'die', 'hold' as const) }),
      weight: 4,
    },
    { arbitrary: command.map(one => ({ kind: 'command' as const, command: one })), weight: 4 },
  ) as fc.Arbitrary<Step>,
  { minLength: 5, maxLength: 25 },
)

/** What the rest of the room does meanwhile, in its simplest form. */
async function act(sql: Sql, group: string, step: Step, n: number): Promise<void> {
  await inTransaction(sql, async tx => {
    if (step.kind === 'command') {
      await applyCommand(tx, group, step.command, CONTROL)
      return
    }
    if (step.kind === 'park') {
      const name = { topic: 'orders', key: Buffer.from(step.key).toString('hex') }
      await lockKeys(tx, group, [name])
      await tx`
        insert into waiting_room.tasks (group_id, message_id, topic, partition, "offset", key, record_at, ordered, state)
        values (${group}, ${`m${n}`}, 'orders', 0, ${n}, decode(${name.key}, 'hex'), now(), true,
          ${step.dead ? 'dead' : 'behind'})`
      await settleKeys(tx, { group, controlTopic: null }, [name])
      return
    }
    if (step.kind === 'claim') {
      await tx`
        update waiting_room.tasks set token = gen_random_uuid(), due_at = now() + ${n % 3 ? 60 : -1} * interval '1 second'
        where id = (
          select id from waiting_room.tasks where group_id = ${group} and state = 'waiting' and token is null
          order by id limit 1)`
      return
    }
    const rows = await tx<{ topic: string; key: string }[]>`
      update waiting_room.tasks set token = null,
        state = ${step.kind === 'hold' ? 'held' : step.kind === 'die' ? 'dead' : 'expired'}
      where id = (select id from waiting_room.tasks where group_id = ${group} and token is not null order by id limit 1)
      returning topic, encode(key, 'hex') as key`
    await lockKeys(tx, group, rows)
    await settleKeys(tx, { group, controlTopic: null }, rows)
  })
}

test('whatever commands come, each key counts its open tasks and has one that can go on', async t => {
  const { sql } = await setup(t)
  let runs = 0
  await fc.assert(
    fc.asyncProperty(steps, async sequence => {
      const group = `g${++runs}`
      for (const [n, step] of sequence.entries()) {
        await act(sql, group, step, n)
        await assertKeysWhole(sql)
        const ahead = await sql`
          select b.message_id from waiting_room.tasks b join waiting_room.tasks h using (group_id, topic, key)
          where b.group_id = ${group} and b.state = 'behind' and h.state = 'waiting' and (h.token is null or h.due_at <= now())
            and h.ordered and h.id > b.id`
        assert.deepEqual(
          [...ahead],
          [],
          'a later one that no worker has runs before an earlier one',
        )
      }
      await sql`delete from waiting_room.tasks`
      await sql`delete from waiting_room.keys`
    }),
    { numRuns: 40 },
  )
})
