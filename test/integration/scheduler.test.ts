import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Handler, SubscribeOptions } from '../../src/consumer/bus.ts'
import { textCodec } from '../../src/consumer/codecs.ts'
import type { ConsumerEvent } from '../../src/consumer/consumer-events.ts'
import { Dependencies } from '../../src/consumer/dependencies.ts'
import type { DependencyGate } from '../../src/consumer/gates.ts'
import { Handling } from '../../src/consumer/handling.ts'
import { BadMessage, DependencyDown, RetryAt } from '../../src/consumer/outcome.ts'
import { settingsOf } from '../../src/consumer/subscription-options.ts'
import { PostgresTaskStore } from '../../src/waiting-room/postgres-task-store.ts'
import { Scheduler } from '../../src/waiting-room/scheduler.ts'
import { cleanup } from '../support/cleanup.ts'
import {
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

const DEADLINE_MS = 20_000
const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

interface Setup {
  readonly handler: Handler<string>
  readonly options?: Partial<SubscribeOptions<string>>
  readonly gate?: DependencyGate
  readonly concurrency?: number
  readonly leaseMs?: number
  readonly pollMsMax?: number
  readonly onEvent?: (event: ConsumerEvent) => void
}

interface Running {
  readonly scheduler: Scheduler<string>
  readonly events: ConsumerEvent[]
  readonly gate: DependencyGate
  ended(how: string): number
}

function start(t: TestContext, { url }: RoomParts, setup: Setup): Running {
  const events: ConsumerEvent[] = []
  const onEvent = (event: ConsumerEvent) => {
    events.push(event)
    setup.onEvent?.(event)
  }
  const dependencies = new Dependencies({ emit: onEvent, log: SILENT })
  const gate = setup.gate ?? dependencies
  const settings = settingsOf<string>({
    group: GROUP,
    topics: [TOPIC],
    codec: textCodec(),
    retry: { baseMs: 1, maxMs: 5 },
    ...setup.options,
  })
  const handling = new Handling<string>({
    settings,
    handler: setup.handler,
    call: (name, work, signal) => dependencies.call(name, work, signal),
    log: SILENT,
  })
  const store = new PostgresTaskStore({ ...connectTo(t, url), group: GROUP, controlTopic: null })
  const { concurrency = 4, leaseMs = 30_000, pollMsMax = 200 } = setup
  const scheduler = new Scheduler<string>({
    store,
    handling,
    gate,
    settings,
    onEvent,
    concurrency,
    leaseMs,
    pollMsMax,
  })
  cleanup(t, async () => {
    await scheduler.stop(5_000)
    await dependencies.stop()
  })
  const ended = (how: string) =>
    events.filter(event => event.kind === 'task_ended' && event.how === how).length
  return { scheduler, events, gate, ended }
}

async function setup(t: TestContext): Promise<RoomParts> {
  const room = await openRoom(t)
  await room.sql`
    create table effects (
      n bigint generated always as identity, message_id text, key text, value text, attempt int,
      at timestamptz not null default clock_timestamp()
    )`
  return room
}

const write: Handler<string> = async (message, context) => {
  await context.sql`
    insert into effects (message_id, key, value, attempt)
    values (${message.id}, ${message.key}, ${message.value}, ${context.attempt})`
}

async function effects({ sql }: RoomParts) {
  return sql<{ message_id: string; key: string; value: string; attempt: number; at: Date }[]>`
    select message_id, key, value, attempt, at from effects order by n`
}

async function empty({ sql }: RoomParts): Promise<void> {
  const none = async () => (await sql`select from waiting_room.tasks limit 1`).length === 0
  await until(none, { deadlineMs: DEADLINE_MS, what: 'the waiting room is empty' })
}

test('tasks run at their time, never before it, though nobody polls', async t => {
  const room = await setup(t)
  const { sql } = room
  for (let n = 0; n < 20; n++)
    await parkTask(sql, { messageId: `m${n}`, dueInMs: 300 + ((n * 397) % 1_000) })
  const due = await sql<{ message_id: string; due_at: Date }[]>`
    select message_id, due_at from waiting_room.tasks`
  start(t, room, { handler: write, pollMsMax: 600_000 })
  await empty(room)
  const started = new Map((await effects(room)).map(({ message_id, at }) => [message_id, at]))
  assert.equal(started.size, 20)
  for (const { message_id, due_at } of due) {
    const earlyMs = due_at.getTime() - started.get(message_id)!.getTime()
    assert.ok(earlyMs <= 0, `${message_id} ran ${earlyMs} ms early`)
  }
})

test('what others park is found by polling', async t => {
  const room = await setup(t)
  const { ended } = start(t, room, { handler: write, pollMsMax: 50 })
  await parkTask(room.sql)
  await until(() => ended('done') === 1, { deadlineMs: DEADLINE_MS, what: 'the first is found' })
  await parkTask(room.sql)
  await until(() => ended('done') === 2, { deadlineMs: DEADLINE_MS, what: 'the second is found' })
})

test('the task of a worker that died is run by another', async t => {
  const room = await setup(t)
  await parkTask(room.sql, { messageId: 'm1' })
  assert.equal((await room.store.claim({ limit: 1, leaseMs: 300 })).length, 1)
  start(t, room, { handler: write })
  await empty(room)
  const rows = await effects(room)
  assert.deepEqual(
    rows.map(({ message_id, attempt }) => [message_id, attempt]),
    [['m1', 2]],
  )
})

test('a worker that lost its claim is told to leave, and its effects are undone', async t => {
  const room = await setup(t)
  const { sql } = room
  const id = await parkTask(sql)
  let left = false
  const handler: Handler<string> = async (message, context) => {
    await write(message, context)
    await sql`
      update waiting_room.tasks set token = gen_random_uuid(), due_at = now() + interval '1 hour' where id = ${id}`
    await new Promise<void>(resolve => context.signal.addEventListener('abort', () => resolve()))
    left = true
  }
  const { events } = start(t, room, { handler, leaseMs: 300 })
  const fenced = () => events.some(({ kind }) => kind === 'task_fenced')
  await until(() => left && fenced(), { deadlineMs: DEADLINE_MS, what: 'the worker is fenced' })
  assert.equal((await effects(room)).length, 0)
  assert.equal((await taskOf(sql, id))?.state, 'waiting')
})

test('a handler that takes longer than a lease keeps its task', async t => {
  const room = await setup(t)
  await parkTask(room.sql)
  const handler: Handler<string> = async (message, context) => {
    await context.sql`select pg_sleep(2)`
    await write(message, context)
  }
  const { events } = start(t, room, { handler, leaseMs: 900 })
  await empty(room)
  assert.deepEqual(
    (await effects(room)).map(({ attempt }) => attempt),
    [1],
  )
  assert.equal(events.filter(({ kind }) => kind === 'task_fenced').length, 0)
})

test('while the first of a key retries, the others of its key wait and other keys go on', async t => {
  const room = await setup(t)
  const { sql } = room
  for (const value of ['1', '2', '3']) await parkTask(sql, { key: 'slow', value })
  for (let n = 0; n < 10; n++) await parkTask(sql, { key: `quick${n}`, value: 'q' })
  const quickDone = async () => (await sql`select from effects where value = 'q'`).length === 10
  const handler: Handler<string> = async (message, context) => {
    if (message.value === '1' && !(await quickDone())) throw new TypeError('not yet')
    await write(message, context)
  }
  start(t, room, { handler, concurrency: 2, options: { attemptsMax: 10_000 } })
  await empty(room)
  const rows = await effects(room)
  assert.deepEqual(
    rows.slice(-3).map(({ value }) => value),
    ['1', '2', '3'],
  )
  assert.ok(rows.at(-3)!.attempt > 1, 'the first one was retried')
  assert.deepEqual(await keysOf(sql), {})
})

test('two schedulers run nothing twice at once, and each key in its order', async t => {
  const room = await setup(t)
  const { sql } = room
  for (let n = 0; n < 120; n++) await parkTask(sql, { key: `k${n % 12}`, value: String(n) })
  const running = new Set<string>()
  const faults: string[] = []
  const handler: Handler<string> = async (message, context) => {
    const key = message.key!
    if (running.has(key)) faults.push(key)
    running.add(key)
    try {
      await write(message, context)
      await context.sql`select pg_sleep(random() / 100)`
      if (context.attempt < 3 && Number(message.value) % 7 === 0) throw new Error('again')
    } finally {
      running.delete(key)
    }
  }
  const both = [0, 1].map(() => start(t, room, { handler }))
  await empty(room)
  assert.deepEqual(faults, [])
  const rows = await effects(room)
  assert.equal(rows.length, 120)
  for (let k = 0; k < 12; k++) {
    const order = rows.filter(({ key }) => key === `k${k}`).map(({ value }) => Number(value))
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    )
  }
  for (const { ended } of both) assert.ok(ended('done') > 0, 'both had something to do')
  assert.deepEqual(await keysOf(sql), {})
})

test('a dependency that is down costs no attempt', async t => {
  const room = await setup(t)
  await parkTask(room.sql)
  let calls = 0
  const handler: Handler<string> = async (message, context) => {
    if (++calls <= 2) throw new DependencyDown('mail')
    await write(message, context)
  }
  const options = { needs: ['mail'], attemptsMax: 1 }
  const { ended, events } = start(t, room, { handler, options })
  await empty(room)
  const [row] = await effects(room)
  assert.equal(row?.attempt, 1)
  assert.equal(ended('given_back'), 2)
  const changed = events.flatMap(event =>
    event.kind === 'dependency_changed' && event.dependency === 'mail' ? [event.state] : [],
  )
  assert.equal(changed[0], 'open')
  assert.equal(changed.at(-1), 'closed')
})

test('a gate that is shut lets nothing be claimed, one ajar a single task', async t => {
  const room = await setup(t)
  const { sql } = room
  let admits: 'all' | 'one' | 'none' = 'none'
  const listeners = new Set<() => void>()
  const asked: (readonly string[])[] = []
  const gate: DependencyGate = {
    admits: names => {
      asked.push(names)
      return admits
    },
    failed: () => {},
    succeeded: () => {},
    onChange: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const turn = (to: typeof admits) => {
    admits = to
    for (const listener of listeners) listener()
  }
  for (let n = 0; n < 3; n++) await parkTask(sql)
  let inWork = 0
  let release = () => {}
  const released = new Promise<void>(resolve => {
    release = resolve
  })
  const handler: Handler<string> = async () => {
    inWork++
    await released
  }
  const { scheduler, events } = start(t, room, {
    handler,
    gate,
    options: { needs: ['mail'] },
    pollMsMax: 20,
  })
  await until(() => asked.length > 5, { deadlineMs: DEADLINE_MS, what: 'the gate was asked' })
  assert.deepEqual(asked[0], ['mail', 'postgres'])
  assert.equal(events.length, 0)
  turn('one')
  await until(() => inWork === 1, { deadlineMs: DEADLINE_MS, what: 'one is in work' })
  const before = asked.length
  scheduler.wake()
  await until(() => asked.length > before + 3, { deadlineMs: DEADLINE_MS, what: 'asked again' })
  const [claimed] = await sql`select count(*)::int from waiting_room.tasks where token is not null`
  assert.equal(claimed?.count, 1)
  turn('all')
  await until(() => inWork === 3, { deadlineMs: DEADLINE_MS, what: 'all are in work' })
  release()
  await empty(room)
})

test('a task too old is dropped without being handled, and its key goes on', async t => {
  const room = await setup(t)
  const { sql } = room
  const id = await parkTask(sql, { key: 'k', value: 'old', expiresInMs: -1 })
  await parkTask(sql, { key: 'k', value: 'young', expiresInMs: 600_000 })
  const { ended } = start(t, room, { handler: write })
  await until(() => ended('done') === 1, { deadlineMs: DEADLINE_MS, what: 'the key goes on' })
  assert.equal((await taskOf(sql, id))?.state, 'expired')
  assert.deepEqual(
    (await effects(room)).map(({ value }) => value),
    ['young'],
  )
})

test('after as many failures as allowed a task is a dead letter', async t => {
  const room = await setup(t)
  const { sql } = room
  const id = await parkTask(sql, { key: 'k', value: 'poison' })
  await parkTask(sql, { key: 'k', value: 'good' })
  const attempts: number[] = []
  const handler: Handler<string> = async (message, context) => {
    if (message.value !== 'poison') return write(message, context)
    attempts.push(context.attempt)
    throw new TypeError('cannot read property')
  }
  const { events } = start(t, room, {
    handler,
    options: { attemptsMax: 3, deadLetterTopic: 'orders.dlt' },
  })
  const goesOn = async () => (await effects(room)).length === 1
  await until(goesOn, { deadlineMs: DEADLINE_MS, what: 'the key goes on' })
  assert.deepEqual(attempts, [1, 2, 3])
  const row = await taskOf(sql, id)
  assert.equal(row?.state, 'dead')
  assert.equal(row?.history.length, 3)
  assert.equal((await toldTo(sql, 'orders.dlt')).length, 1)
  const dead = events.find(event => event.kind === 'dead')
  assert.ok(dead?.kind === 'dead' && dead.attempts === 3 && dead.reason.includes('TypeError'))
})

test('a bad message is dead at once, or only logged if so asked', async t => {
  const room = await setup(t)
  const { sql } = room
  const handler: Handler<string> = async () => {
    throw new BadMessage('no such order')
  }
  const first = await parkTask(sql)
  const loud = start(t, room, { handler })
  const isDead = async () => (await taskOf(sql, first))?.state === 'dead'
  await until(isDead, { deadlineMs: DEADLINE_MS, what: 'it is dead' })
  await loud.scheduler.stop(5_000)
  const second = await parkTask(sql, { headers: [] })
  start(t, room, { handler, options: { onBad: 'log' } })
  const isGone = async () => (await taskOf(sql, second))?.state === 'removed'
  await until(isGone, { deadlineMs: DEADLINE_MS, what: 'it is out of the way' })
})

test('a handler may ask for a time, or for a person', async t => {
  const room = await setup(t)
  const { sql } = room
  const at = new Date(Date.now() + 3_600_000)
  const later = await parkTask(sql, { value: 'later' })
  const held = await parkTask(sql, { value: 'hold' })
  const { ended } = start(t, room, {
    handler: async message => {
      if (message.value === 'later') throw new RetryAt(at, 'closed on Sundays')
      return { kind: 'hold', reason: 'look at it' }
    },
  })
  const both = () => ended('retry') === 1 && ended('hold') === 1
  await until(both, { deadlineMs: DEADLINE_MS, what: 'both wait' })
  assert.equal((await taskOf(sql, held))?.state, 'held')
  const [row] = await sql`select due_at from waiting_room.tasks where id = ${later}`
  assert.equal(row?.due_at.getTime(), at.getTime())
})

test('a task whose workers died each time is a dead letter without being tried again', async t => {
  const room = await setup(t)
  const id = await parkTask(room.sql, { attempts: 4 })
  start(t, room, { handler: write, options: { attemptsMax: 3 } })
  const isDead = async () => (await taskOf(room.sql, id))?.state === 'dead'
  await until(isDead, { deadlineMs: DEADLINE_MS, what: 'it is dead' })
  assert.equal((await effects(room)).length, 0)
})

test('stopping waits for what is in work, and takes nothing new', async t => {
  const room = await setup(t)
  const { sql } = room
  await parkTask(sql, { value: 'first' })
  let began = false
  const handler: Handler<string> = async (message, context) => {
    began = true
    await context.sql`select pg_sleep(0.5)`
    await write(message, context)
  }
  const { scheduler } = start(t, room, { handler, pollMsMax: 20 })
  await until(() => began, { deadlineMs: DEADLINE_MS, what: 'the handler is at work' })
  const stopped = scheduler.stop(DEADLINE_MS)
  const next = await parkTask(sql, { value: 'second' })
  await stopped
  await scheduler.completed
  assert.deepEqual(
    (await effects(room)).map(({ value }) => value),
    ['first'],
  )
  assert.equal((await taskOf(sql, next))?.attempts, 0)
})

test('a handler that is still at work when the time to stop is over leaves, and its task is given back', async t => {
  const room = await setup(t)
  const { sql } = room
  const id = await parkTask(sql)
  let began = false
  const handler: Handler<string> = async (message, context) => {
    await write(message, context)
    began = true
    await new Promise(() => {})
  }
  const { scheduler, ended } = start(t, room, { handler })
  await until(() => began, { deadlineMs: DEADLINE_MS, what: 'the handler is at work' })
  await scheduler.stop(100)
  await scheduler.completed
  assert.equal(ended('given_back'), 1)
  const row = await taskOf(sql, id)
  assert.deepEqual([row?.state, row?.attempts, row?.token], ['waiting', 0, null])
  assert.equal((await effects(room)).length, 0)
})

test('a database that fails is asked again, and the work goes on', async t => {
  const room = await setup(t)
  const { sql } = room
  await sql`alter table waiting_room.tasks rename to elsewhere`
  const { events } = start(t, room, { handler: write })
  const failed = () => events.filter(({ kind }) => kind === 'store_failed').length >= 2
  await until(failed, { deadlineMs: DEADLINE_MS, what: 'the failures are told' })
  await sql`alter table waiting_room.elsewhere rename to tasks`
  await parkTask(sql)
  const done = async () => (await effects(room)).length === 1
  await until(done, { deadlineMs: DEADLINE_MS, what: 'the task is done' })
})

test('a bug ends the scheduler with its error', async t => {
  const room = await setup(t)
  await parkTask(room.sql)
  const { scheduler } = start(t, room, {
    handler: write,
    onEvent: event => {
      if (event.kind === 'task_ended') throw new RangeError('a listener is broken')
    },
  })
  await assert.rejects(scheduler.completed, { name: 'RangeError' })
})

test('a task for the retry topic is published there without being handled', async t => {
  const room = await setup(t)
  await parkTask(room.sql, { retryTopic: 'orders.retry', attempts: 1 })
  const { ended } = start(t, room, { handler: write })
  await empty(room)
  assert.equal(ended('reproduced'), 1)
  assert.equal((await effects(room)).length, 0)
  assert.equal((await toldTo(room.sql, 'orders.retry'))[0]?.headers['twr-attempt'], '1')
})
