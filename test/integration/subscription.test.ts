import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import type { Handler } from '../../src/consumer/bus.ts'
import { BadMessage, DependencyDown } from '../../src/consumer/outcome.ts'
import type { Sql } from '../../src/postgres/database.ts'
import { applyConsumerSchema } from '../support/consumer-schema.ts'
import { createDatabase } from '../support/database.ts'
import { createTopic } from '../support/kafka.ts'
import { type SubscriptionChoice, startSubscription } from '../support/kafka-subscription.ts'
import { committed, send } from '../support/kafkajs-source.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 30_000
const PARTITIONS = 3
const KEYS = 12

interface Numbered {
  readonly key: string
  readonly n: number
}

async function setup(t: TestContext) {
  const { url, sql } = await createDatabase(t)
  await applyConsumerSchema(sql)
  await sql`create table effects (seq bigserial, key text not null, n int not null)`
  const topic = await createTopic(t, { partitions: PARTITIONS })
  const group = `g-${randomUUID()}`
  const subscribe = (choice: Partial<SubscriptionChoice> = {}) =>
    startSubscription(t, { url, group, topics: [topic], handler: effect, ...choice })
  return { sql, topic, group, subscribe }
}

const effect: Handler<unknown> = async ({ value }, { sql }) => {
  const { key, n } = value as Numbered
  await sql`insert into effects (key, n) values (${key}, ${n})`
}

/** `count` messages over all keys, numbered within each key; some are sent twice. */
async function sendNumbered(topic: string, count: number, first = 0): Promise<void> {
  const messages = Array.from({ length: count }, (_, index) => {
    const at = index % KEYS
    const key = `k${at}`
    const n = first + Math.floor(index / KEYS)
    const headers = { event_id: `${key}-${n}`, event_type: 'Numbered' }
    return { key, partition: at % PARTITIONS, value: JSON.stringify({ key, n }), headers }
  })
  await send(
    topic,
    messages.flatMap((message, index) => (index % 10 === 0 ? [message, message] : [message])),
  )
}

async function effectsOf(sql: Sql): Promise<Map<string, number[]>> {
  const rows = await sql<{ key: string; n: number }[]>`select key, n from effects order by seq`
  const effects = new Map<string, number[]>()
  for (const { key, n } of rows) effects.set(key, [...(effects.get(key) ?? []), n])
  return effects
}

async function assertOnceInOrder(sql: Sql, count: number): Promise<void> {
  const effects = await effectsOf(sql)
  const perKey = Array.from({ length: count / KEYS }, (_, n) => n)
  assert.equal(effects.size, KEYS)
  for (const numbers of effects.values()) assert.deepEqual(numbers, perKey)
}

const count = async (sql: Sql) =>
  Number((await sql`select count(*) as count from effects`)[0]?.count)

/** All of the topic is committed; its last records may be duplicates. */
async function untilCommitted(group: string, topic: string, records: number): Promise<void> {
  await until(
    async () => {
      const offsets = Object.values(await committed(group, topic))
      return offsets.reduce((sum, offset) => sum + Number(offset), 0) === records
    },
    { deadlineMs: DEADLINE_MS, what: `${records} records are committed` },
  )
}

test('messages take effect once and in the order of their keys, with failures on the way', async t => {
  const { sql, topic, group, subscribe } = await setup(t)
  const failed = new Set<string>()
  const attempts: number[] = []
  const { events } = await subscribe({
    handler: async (message, context) => {
      const { key, n } = message.value as Numbered
      if (key === 'k3' && n % 5 === 0 && !failed.has(message.id)) {
        failed.add(message.id)
        throw new TypeError('cannot read this of undefined')
      }
      if (failed.has(message.id)) attempts.push(context.attempt)
      await effect(message, context)
    },
  })
  await sendNumbered(topic, 360)
  await until(async () => (await count(sql)) === 360, {
    deadlineMs: DEADLINE_MS,
    what: 'all effects',
  })
  await untilCommitted(group, topic, 396)
  await assertOnceInOrder(sql, 360)
  assert.deepEqual(attempts, [2, 2, 2, 2, 2, 2])
  assert.deepEqual([...(await sql`select * from waiting_room.keys`)], [])
  assert.equal(events.filter(({ kind }) => kind === 'crashed').length, 0)
})

test('members come and go, and every message takes effect once and in order', async t => {
  const { sql, topic, group, subscribe } = await setup(t)
  const first = await subscribe()
  await sendNumbered(topic, 240)
  await until(async () => (await count(sql)) > 30, {
    deadlineMs: DEADLINE_MS,
    what: 'some effects',
  })
  const second = await subscribe()
  await sendNumbered(topic, 240, 20)
  await first.subscription.stop({ timeoutMs: 5_000 })
  assert.equal(first.subscription.state, 'stopped')
  await sendNumbered(topic, 240, 40)
  await until(async () => (await count(sql)) >= 720, {
    deadlineMs: DEADLINE_MS,
    what: 'all effects',
  })
  await untilCommitted(group, topic, 792)
  await assertOnceInOrder(sql, 720)
  for (const { events } of [first, second]) {
    for (const event of events) if (event.kind === 'revoked') assert.equal(event.drained, true)
  }
})

test('in batches too, with a bad message among them', async t => {
  const { sql, topic, group, subscribe } = await setup(t)
  const sizes: number[] = []
  const { events } = await subscribe({
    batch: {
      size: 100,
      handler: async (messages, { sql: tx }) => {
        sizes.push(messages.length)
        if (messages.some(({ id }) => id === 'bad')) throw new BadMessage('no such key')
        const rows = messages.map(({ value }) => value as Numbered)
        await tx`insert into effects (key, n)
          select key, n from json_to_recordset(${JSON.stringify(rows)}::text::json) as (key text, n int)`
      },
    },
  })
  await sendNumbered(topic, 240)
  const headers = { event_id: 'bad', event_type: 'Numbered' }
  await send(topic, [{ key: 'k1', partition: 1, value: '{}', headers }])
  await sendNumbered(topic, 240, 20)
  await until(async () => (await count(sql)) === 480, {
    deadlineMs: DEADLINE_MS,
    what: 'all effects',
  })
  await untilCommitted(group, topic, 529)
  await assertOnceInOrder(sql, 480)
  assert.ok(Math.max(...sizes) > 1)
  const dead = await sql`select message_id, state from waiting_room.tasks`
  assert.deepEqual([...dead], [{ message_id: 'bad', state: 'dead' }])
  assert.equal(events.filter(({ kind }) => kind === 'dead').length, 1)
})

test('a dependency that is down spends nothing, and a hold by hand stops all members', async t => {
  const { sql, topic, group, subscribe } = await setup(t)
  let isDown = true
  const { subscription, events } = await subscribe({
    handler: async (message, context) => {
      if (isDown) throw new DependencyDown('mail', new Error('503'))
      assert.equal(context.attempt, 1)
      await effect(message, context)
    },
  })
  await sendNumbered(topic, 36)
  await until(() => subscription.state === 'paused', { deadlineMs: DEADLINE_MS, what: 'the pause' })
  assert.deepEqual([...(await sql`select * from waiting_room.inbox`)], [])
  isDown = false
  await until(async () => (await count(sql)) === 36, {
    deadlineMs: DEADLINE_MS,
    what: 'all effects',
  })
  await untilCommitted(group, topic, 40)
  await subscription.pause({ topic }, { reason: 'by hand' })
  await until(() => subscription.state === 'paused', { deadlineMs: DEADLINE_MS, what: 'the hold' })
  await sendNumbered(topic, 36, 3)
  await subscription.resume({ topic })
  await until(async () => (await count(sql)) === 72, { deadlineMs: DEADLINE_MS, what: 'the rest' })
  await assertOnceInOrder(sql, 72)
  assert.equal(events.filter(({ kind }) => kind === 'dead').length, 0)
})
