import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import * as dead from '../../src/cli/dead.ts'
import * as lanes from '../../src/cli/lanes.ts'
import * as replay from '../../src/cli/replay.ts'
import * as topics from '../../src/cli/topics.ts'
import type { Sql } from '../../src/postgres/database.ts'
import { type CommandModule, runCommand } from '../support/command.ts'
import { createDatabase } from '../support/database.ts'
import { createTopic, readTopic } from '../support/kafka.ts'
import { startRelay } from '../support/relay.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 30_000

async function setup(t: TestContext) {
  const { url, sql } = await createDatabase(t)
  const sluice = async (module: CommandModule, command: string) => {
    const { code, stdout, stderr } = await runCommand(module, url, [
      ...command.split(' '),
      '--json',
    ])
    assert.deepEqual([code, stderr], [0, ''], command)
    return JSON.parse(stdout)
  }
  return { url, sql, sluice }
}

async function write(sql: Sql, topic: string, key: string, value: number): Promise<number> {
  const [row] = await sql`
    insert into outbox.events (topic, key, event_type, payload)
    values (${topic}, ${key}, 'T', ${String(value)}::text::json) returning lane`
  return row?.lane
}

/** An event that the relay refuses: it has expired when it is read. */
async function writeExpired(sql: Sql, topic: string, key: string, value: number): Promise<string> {
  const [row] = await sql`
    insert into outbox.events (topic, key, event_type, payload, expires_at)
    values (${topic}, ${key}, 'T', ${String(value)}::text::json, now() - interval '1 second') returning event_id`
  await becomes(async () => (await sql`select from outbox.dead_letters`).length === 1, 'it is dead')
  return row?.event_id
}

async function becomes(predicate: () => Promise<boolean>, what: string): Promise<void> {
  await until(predicate, { deadlineMs: DEADLINE_MS, what })
}

async function waiting(sql: Sql, topic: string): Promise<number> {
  return (await sql`select from outbox.events where topic = ${topic}`).length
}

async function drained(sql: Sql, topic: string): Promise<void> {
  await becomes(async () => (await waiting(sql, topic)) === 0, `nothing of ${topic} waits`)
}

async function valuesOf(topic: string): Promise<number[]> {
  return (await readTopic(topic)).map(({ value }) => Number(value))
}

test('a requeued event is published by the running relay as the event that it was', async t => {
  const { url, sql, sluice } = await setup(t)
  const topic = await createTopic(t)
  await startRelay(t, url)
  const eventId = await writeExpired(sql, topic, 'k', 1)
  await write(sql, topic, 'k', 2)
  await drained(sql, topic)
  const [row] = await sql`select id from outbox.dead_letters`
  assert.equal((await sluice(dead, `dead requeue ${eventId} --no-expiry --yes`)).requeued, 1)
  await becomes(async () => (await readTopic(topic)).length === 2, 'it is in Kafka')
  const [, record] = await readTopic(topic)
  assert.equal(record?.value?.toString(), '1')
  assert.deepEqual([record?.headers.event_id, record?.headers['sluice-id']], [eventId, row?.id])
  await drained(sql, topic)
  assert.equal((await sql`select from outbox.dead_letters`).length, 0)
})

test('a dead letter that holds its key is published before its followers once it is requeued', async t => {
  const { url, sql, sluice } = await setup(t)
  const topic = await createTopic(t)
  await startRelay(t, url)
  const eventId = await writeExpired(sql, topic, 'held', 1)
  await sql`update outbox.dead_letters set blocks_key = true`
  for (const value of [2, 3, 4]) await write(sql, topic, 'held', value)
  await write(sql, topic, 'free', 9)
  await becomes(async () => (await valuesOf(topic)).includes(9), 'another key goes on')
  assert.equal(await waiting(sql, topic), 3)
  await sluice(dead, `dead requeue ${eventId} --no-expiry --yes`)
  await drained(sql, topic)
  assert.deepEqual(await valuesOf(topic), [9, 1, 2, 3, 4])
})

test('a key that a dead letter holds goes on once that is discarded', async t => {
  const { url, sql, sluice } = await setup(t)
  const topic = await createTopic(t)
  await startRelay(t, url)
  const eventId = await writeExpired(sql, topic, 'held', 1)
  await sql`update outbox.dead_letters set blocks_key = true`
  for (const value of [2, 3]) await write(sql, topic, 'held', value)
  await write(sql, topic, 'free', 9)
  await becomes(async () => (await valuesOf(topic)).includes(9), 'another key goes on')
  await sluice(dead, `dead discard ${eventId} --yes --reason test`)
  await drained(sql, topic)
  assert.deepEqual(await valuesOf(topic), [9, 2, 3])
})

test('replayed events arrive in their original order and name their originals', async t => {
  const { url, sql, sluice } = await setup(t)
  const topic = await createTopic(t, { partitions: 2 })
  await startRelay(t, url, { retentionMs: 3_600_000 })
  await sql`
    insert into outbox.events (topic, key, event_type, payload)
    select ${topic}, 'k' || n % 5, 'T', to_json(n) from generate_series(1, 200) n`
  await drained(sql, topic)
  const before = await readTopic(topic)
  assert.equal((await sluice(replay, `replay --topic ${topic} --since 1h --yes`)).replayed, 200)
  await drained(sql, topic)
  const after = await readTopic(topic)
  assert.equal(after.length, 400)
  for (const partition of [0, 1]) {
    const originals = before.filter(record => record.partition === partition)
    const again = after.filter(record => record.partition === partition).slice(originals.length)
    // Lanes of one partition are published side by side; a key is in one lane.
    for (const key of ['k0', 'k1', 'k2', 'k3', 'k4']) {
      const ofKey = (records: typeof after) => records.filter(each => String(each.key) === key)
      assert.deepEqual(
        ofKey(again).map(({ headers, value }) => [headers['sluice-replay-of'], String(value)]),
        ofKey(originals).map(({ headers, value }) => [headers.event_id, String(value)]),
      )
    }
    assert.equal(
      new Set([...originals, ...again].map(({ headers }) => headers.event_id)).size,
      originals.length * 2,
    )
  }
})

test('nothing of a paused topic is published, by the next relay neither, until it is resumed', async t => {
  const { url, sql, sluice } = await setup(t)
  const [paused, other] = [await createTopic(t), await createTopic(t)]
  const first = await startRelay(t, url)
  await sluice(topics, `topics pause ${paused} --yes --reason test`)
  let probe = 0
  const isHeld = async () => {
    probe += 1
    await write(sql, paused, 'k', probe)
    await write(sql, other, 'k', probe)
    await drained(sql, other)
    // One may have been in flight.
    return (await waiting(sql, paused)) > 1
  }
  await becomes(isHeld, 'events of the paused topic stay while later ones go')
  await first.stop()
  const held = await waiting(sql, paused)
  await startRelay(t, url)
  assert.ok(await isHeld())
  assert.equal(await waiting(sql, paused), held + 1)
  await sluice(topics, `topics resume ${paused} --yes`)
  await drained(sql, paused)
  assert.deepEqual(
    [...new Set(await valuesOf(paused))],
    Array.from({ length: probe }, (_, n) => n + 1),
  )
})

test('nothing of a paused lane is published until it is resumed', async t => {
  const { url, sql, sluice } = await setup(t)
  const topic = await createTopic(t)
  const [lane, otherLane] = [await write(sql, topic, 'a', 0), await write(sql, topic, 'b', 0)]
  assert.notEqual(lane, otherLane)
  await sluice(lanes, `lanes pause ${lane} --yes --reason test`)
  await startRelay(t, url)
  await write(sql, topic, 'b', 1)
  await becomes(async () => (await waiting(sql, topic)) === 1, 'the other lane is empty')
  await sluice(lanes, `lanes resume ${lane} --yes`)
  await drained(sql, topic)
  const keys = (await readTopic(topic)).map(({ key }) => String(key))
  assert.deepEqual(keys, ['b', 'b', 'a'])
})
