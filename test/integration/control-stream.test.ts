import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { ConsumerEvent } from '../../src/consumer/consumer-events.ts'
import { Handling } from '../../src/consumer/handling.ts'
import type { SourceRecord } from '../../src/consumer/message.ts'
import { settingsOf } from '../../src/consumer/subscription-options.ts'
import type { Sql } from '../../src/postgres/database.ts'
import {
  CONTROL_CODEC,
  CONTROL_ENVELOPE,
  GROUP_HEADER,
} from '../../src/waiting-room/control-codec.ts'
import type { TaskEvent } from '../../src/waiting-room/control-event.ts'
import { controlHandler } from '../../src/waiting-room/control-stream.ts'
import { PostgresDeliveryStore } from '../../src/waiting-room/postgres-delivery-store.ts'
import { rebuildTasks } from '../../src/waiting-room/rebuild-tasks.ts'
import {
  CONTROL,
  GROUP,
  keysOf,
  openRoom,
  parkTask,
  type RoomParts,
  TOPIC,
  taskOf,
  toldTo,
} from '../support/task-room.ts'

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }
const BY = { actor: 'kim', reason: 'because' }
const LEASE_MS = 30_000
const HOUR_MS = 3_600_000

function controlRecord(value: unknown, group: string | null = GROUP): SourceRecord {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return {
    topic: CONTROL,
    partition: 0,
    offset: 0n,
    key: null,
    value: Buffer.from(text),
    headers: group === null ? [] : [{ name: GROUP_HEADER, value: Buffer.from(group) }],
    timestampMs: 0,
  }
}

async function setup(t: TestContext) {
  const room = await openRoom(t, { controlTopic: CONTROL })
  const events: ConsumerEvent[] = []
  let changes = 0
  const settings = settingsOf({
    group: `${GROUP}.twr`,
    topics: [CONTROL],
    codec: CONTROL_CODEC,
    envelope: CONTROL_ENVELOPE,
  })
  const handling = new Handling({
    settings,
    handler: controlHandler({
      group: GROUP,
      controlTopic: CONTROL,
      onEvent: event => {
        events.push(event)
      },
      onChange: () => {
        changes++
      },
    }),
    call: (_, work, signal) => work(signal),
    log: SILENT,
  })
  /** As the subscription does, in a transaction of its own. */
  const consume = async (record: SourceRecord) => {
    const reading = handling.read(record)
    assert.equal(reading.kind, 'message')
    if (reading.kind !== 'message') return
    const options = { attempt: 1, signal: new AbortController().signal }
    await room.pool.transaction(tx => handling.handle(reading.message, tx, options))
  }
  const bad = () => events.flatMap(event => (event.kind === 'bad_command' ? [event.reason] : []))
  return { ...room, events, consume, bad, changes: () => changes }
}

function eventOf(messageId: string, fields: Partial<TaskEvent>): TaskEvent {
  return {
    type: 'twr.retry',
    group: GROUP,
    messageId,
    rev: 100,
    state: 'waiting',
    topic: TOPIC,
    partition: 0,
    offset: '0',
    attempts: 1,
    ...fields,
  }
}

test('a command to the group is applied, and told of', async t => {
  const { sql, consume, events, changes } = await setup(t)
  const id = await parkTask(sql, { key: 'k', dueInMs: HOUR_MS })
  const command = { type: 'twr.command.release', filter: { ids: [id] }, ...BY }
  await consume(controlRecord(command))
  assert.ok(((await taskOf(sql, id))?.due_in_ms ?? 1) <= 0)
  assert.deepEqual(events, [
    { kind: 'command_applied', group: GROUP, command: 'twr.command.release', tasks: 1 },
  ])
  assert.equal(changes(), 1)
  await consume(controlRecord({ type: 'twr.command.pause', target: { topic: TOPIC }, ...BY }))
  assert.equal((await sql`select from waiting_room.holds`).length, 1)
})

test('a command to another group changes nothing, and is nothing to complain of', async t => {
  const { sql, consume, events } = await setup(t)
  const id = await parkTask(sql)
  const command = { type: 'twr.command.remove', filter: { all: true }, ...BY }
  await consume(controlRecord(command, 'others'))
  await consume(controlRecord('no JSON', 'others'))
  assert.equal((await taskOf(sql, id))?.state, 'waiting')
  assert.deepEqual(events, [])
})

test('what nobody can read or apply is told and passed over', async t => {
  const { sql, consume, bad } = await setup(t)
  const id = await parkTask(sql)
  const remove = { type: 'twr.command.remove', filter: { all: true }, ...BY }
  const unreadable: unknown[] = [
    '{',
    'null',
    '[]',
    { type: 'twr.command.explode', ...BY },
    { ...remove, actor: 7 },
    { ...remove, filter: null },
    { ...remove, filter: {} },
    { ...remove, filter: { all: 'yes' } },
    { ...remove, filter: { ids: ['x'] } },
    { ...remove, filter: { ids: '1' } },
    { type: 'twr.command.pause', target: { partition: 1 }, ...BY },
    { type: 'twr.command.pause', target: { topic: TOPIC, partition: 2 ** 40 }, ...BY },
    { type: 'twr.command.pause', target: { topic: TOPIC }, until: 'tomorrow', ...BY },
    { type: 'twr.command.pause', target: { topic: TOPIC }, until: '2026-02-30T00:00:00Z', ...BY },
    eventOf('m', { rev: -1 }),
    eventOf('m', { dueAt: 'soon' }),
    { ...eventOf('m', {}), messageId: 7 },
  ]
  for (const value of unreadable) await consume(controlRecord(value))
  await consume(controlRecord(remove, null))
  assert.equal(bad().length, unreadable.length + 1, bad().join('\n'))
  assert.equal((await taskOf(sql, id))?.state, 'waiting')
  assert.equal((await sql`select from waiting_room.holds`).length, 0)
})

test('a failing database is thrown, so that the record comes again', async t => {
  const { sql, consume } = await setup(t)
  await sql`alter table waiting_room.tasks rename to elsewhere`
  const command = { type: 'twr.command.remove', filter: { all: true }, ...BY }
  await assert.rejects(consume(controlRecord(command)), { code: 'database' })
})

test('events that the kit wrote itself change nothing', async t => {
  const room = await setup(t)
  const { sql, store, consume, changes } = room
  for (let n = 0; n < 3; n++) await parkTask(sql, { key: 'k', messageId: `m${n}` })
  const claim = async () => (await store.claim({ limit: 1, leaseMs: LEASE_MS }))[0]!
  await store.end(await claim(), { kind: 'retry', due: { inMs: 0 }, reason: 'r' })
  await store.complete(await claim(), async () => {})
  await store.end(await claim(), { kind: 'hold', reason: 'r' })
  const before = await sql`select * from waiting_room.tasks order by id`
  const told = await toldTo(sql, CONTROL)
  assert.ok(told.length >= 4)
  for (const { payload } of told) await consume(controlRecord(payload))
  assert.deepEqual([...(await sql`select * from waiting_room.tasks order by id`)], [...before])
  assert.equal(changes(), 0)
  assert.equal((await toldTo(sql, CONTROL)).length, told.length)
})

test('a newer event of someone else makes a task wait, be held, go on, or leave', async t => {
  const { sql, consume, store, changes } = await setup(t)
  const first = await parkTask(sql, { key: 'k', messageId: 'm1' })
  const second = await parkTask(sql, { key: 'k', messageId: 'm2' })
  const dueAt = new Date(Date.now() + HOUR_MS).toISOString()
  await consume(controlRecord(eventOf('m1', { rev: 10, dueAt })))
  assert.ok(((await taskOf(sql, first))?.due_in_ms ?? 0) > HOUR_MS / 2)
  await consume(controlRecord(eventOf('m1', { rev: 9, type: 'twr.held', state: 'held' })))
  assert.equal((await taskOf(sql, first))?.state, 'waiting')
  await consume(controlRecord(eventOf('m1', { rev: 20, type: 'twr.held', state: 'held' })))
  assert.equal((await taskOf(sql, first))?.state, 'held')
  await consume(controlRecord(eventOf('m1', { rev: 30, type: 'twr.completed', state: 'done' })))
  assert.equal((await taskOf(sql, first))?.state, 'removed')
  assert.equal((await taskOf(sql, second))?.state, 'waiting')
  assert.deepEqual(await keysOf(sql), { k: 1 })
  assert.equal(changes(), 3)
  const [claimed] = await store.claim({ limit: 1, leaseMs: LEASE_MS })
  assert.equal(claimed?.id, second)
  await consume(controlRecord(eventOf('m2', { rev: 50, type: 'twr.removed', state: 'removed' })))
  assert.equal(await store.complete(claimed!, async () => {}), true, 'a worker keeps its task')
  await consume(controlRecord(eventOf('m2', { rev: 90, type: 'twr.new' })))
  assert.equal(await taskOf(sql, second), undefined, 'what is done is not made anew')
})

async function topicOf(sql: Sql): Promise<SourceRecord[]> {
  return (await toldTo(sql, CONTROL)).map(({ payload }) => controlRecord(payload))
}

interface ComparedTask {
  readonly message_id: string
  readonly state: string
  readonly attempts: number
  readonly rev: number
  readonly due_at: Date
  readonly expires_at: Date | null
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly record_at: Date
  readonly ordered: boolean
}

async function assertRebuilt({ sql }: RoomParts): Promise<number> {
  const rows = await sql<ComparedTask[]>`select * from waiting_room.tasks order by message_id`
  const rebuilt = await rebuildTasks(await topicOf(sql), GROUP)
  const compared = [...rebuilt.values()]
    .sort((a, b) => (a.messageId < b.messageId ? -1 : 1))
    .map(task => ({ ...task, key: task.key?.toString(), value: task.value?.toString() }))
    .map(
      ({ messageId, state, attempts, rev, dueAt, expiresAt, key, value, recordAt, ordered }) => ({
        ...{ messageId, state, attempts, rev, dueAt, expiresAt, key, value, recordAt, ordered },
      }),
    )
  assert.deepEqual(
    compared,
    rows.map(row => ({
      messageId: row.message_id,
      state: row.state,
      attempts: row.attempts,
      rev: row.rev,
      dueAt: row.due_at,
      expiresAt: row.expires_at,
      key: row.key?.toString(),
      value: row.value?.toString(),
      recordAt: row.record_at,
      ordered: row.ordered,
    })),
  )
  return rows.length
}

test('the waiting room can be built again from its control topic', async t => {
  const room = await setup(t)
  const { store, pool, database, consume } = room
  const deliveries = new PostgresDeliveryStore({
    ...{ pool, database, group: GROUP, controlTopic: CONTROL },
    limits: { perKey: 1_000, perGroup: 1_000 },
  })
  const park = async (n: number) => {
    const key = n % 8 === 0 ? null : Buffer.from(`k${n % 5}`)
    const record: SourceRecord = {
      topic: TOPIC,
      partition: n % 3,
      offset: BigInt(n),
      key,
      value: Buffer.from(`value ${n}`),
      headers: [
        { name: 'event_id', value: Buffer.from(`m${n}`) },
        { name: 'empty', value: null },
      ],
      timestampMs: 1_700_000_000_000 + n,
    }
    await deliveries.park(
      { record, messageId: `m${n}`, ordered: key !== null },
      { kind: 'retry', due: { inMs: n % 4 === 3 ? HOUR_MS : 0 }, attempts: 1, reason: 'r' },
      { expiresAt: n % 6 === 0 ? new Date(Date.now() + HOUR_MS) : null },
    )
  }
  for (let n = 0; n < 40; n++) await park(n)
  assert.equal(await assertRebuilt(room), 40)
  for (let round = 0; round < 12; round++) {
    for (const [n, task] of (await store.claim({ limit: 4, leaseMs: LEASE_MS })).entries()) {
      const choice = (round + n) % 6
      if (choice === 0) await store.end(task, { kind: 'retry', due: { inMs: 10 }, reason: 'again' })
      else if (choice === 1) await store.end(task, { kind: 'hold', reason: 'look' })
      else if (choice === 2)
        await store.end(task, { kind: 'dead', reason: 'bad', deadLetterTopic: null })
      else if (choice === 3) await store.end(task, { kind: 'give_back', due: { inMs: 10 } })
      else if (choice === 4) await store.end(task, { kind: 'drop', why: 'expired' })
      else await store.complete(task, async () => {})
    }
    if (round === 6) {
      await consume(
        controlRecord({ type: 'twr.command.release', filter: { state: 'held' }, ...BY }),
      )
      await consume(
        controlRecord({ type: 'twr.command.release', filter: { state: 'dead' }, ...BY }),
      )
    }
    if (round === 9) {
      const target = { topic: TOPIC, key: 'k1' }
      await consume(controlRecord({ type: 'twr.command.pause', target, ...BY }))
      await consume(controlRecord({ type: 'twr.command.remove', filter: { key: 'k2' }, ...BY }))
    }
  }
  await park(80)
  const rest = await store.claim({ limit: 50, leaseMs: LEASE_MS })
  assert.ok(rest.length > 0)
  for (const task of rest) await store.end(task, { kind: 'give_back', due: { inMs: HOUR_MS } })
  assert.ok((await assertRebuilt(room)) > 5)
})

test('what a relay published twice counts once when the room is built again', async t => {
  const room = await setup(t)
  const { sql, store } = room
  const events = (messageId: string) => [
    eventOf(messageId, { type: 'twr.new', rev: 1, value: 'YQ==', attempts: 1 }),
    eventOf(messageId, { type: 'twr.retry', rev: 3, attempts: 2 }),
  ]
  const done = eventOf('m1', { type: 'twr.completed', rev: 5, state: 'done' })
  const first = [...events('m1'), done]
  const all = [...first, ...first, ...events('m2'), ...events('m2')].map(event =>
    controlRecord(event),
  )
  const tasks = await rebuildTasks([...all, controlRecord('{'), controlRecord(null)], GROUP)
  assert.deepEqual([...tasks.keys()], ['m2'])
  const task = tasks.get('m2')
  assert.deepEqual([task?.rev, task?.attempts, task?.value?.toString()], [3, 2, 'a'])
  assert.equal((await rebuildTasks(all, 'others')).size, 0)
  assert.deepEqual(await store.claim({ limit: 1, leaseMs: LEASE_MS }), [])
  assert.equal((await sql`select from waiting_room.tasks`).length, 0)
})
