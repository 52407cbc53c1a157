import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { Sql } from '../../src/postgres/database.ts'
import { createDatabase } from '../support/database.ts'
import { createTopic, readTopic } from '../support/kafka.ts'
import { startRelay } from '../support/relay.ts'
import { until } from '../support/until.ts'

async function drained(sql: Sql): Promise<void> {
  await until(async () => (await sql`select 1 from outbox.events limit 1`).length === 0, {
    deadlineMs: 30_000,
    what: 'outbox.events is empty',
  })
}

test('an inserted event arrives with key, value and headers exactly as written', async t => {
  const { url, sql } = await createDatabase(t)
  const topic = await createTopic(t, { partitions: 3 })
  const json = '{"total": 12345678901234567890.10,  "b":1,"a":null}'
  const eventId = randomUUID()
  await sql`
    insert into outbox.events (event_id, topic, key, event_type, payload, headers)
    values (${eventId}, ${topic}, 'order-17', 'OrderPlaced', ${json}::text::json, '{"source":"shop","event_type":"forged"}')`
  await startRelay(t, url)
  await drained(sql)
  const [record, ...others] = await readTopic(topic)
  assert.equal(others.length, 0)
  assert.equal(record?.key?.toString(), 'order-17')
  assert.equal(record?.value?.toString(), json)
  const { 'sluice-id': sluiceId, ...headers } = record?.headers ?? {}
  assert.deepEqual(headers, { source: 'shop', event_type: 'OrderPlaced', event_id: eventId })
  assert.match(String(sluiceId), /^\d+$/)
})

test('bytes, tombstones, empty and missing keys arrive untouched', async t => {
  const { url, sql } = await createDatabase(t)
  const topic = await createTopic(t, { partitions: 1 })
  const bytes = Buffer.from([0, 255, 1, 10, 13, 128])
  await sql`insert into outbox.events (topic, key, event_type, payload_bytes) values (${topic}, 'b', 'T', ${bytes})`
  await sql`insert into outbox.events (topic, key, event_type) values (${topic}, 'gone', 'T')`
  await sql`insert into outbox.events (topic, key, event_type, payload) values (${topic}, '', 'T', 'null')`
  await sql`insert into outbox.events (topic, event_type, payload) values (${topic}, 'T', '"no key"')`
  await sql`insert into outbox.events (topic, key, event_type, payload) values (${topic}, 'ключ', 'T', '"é😀"')`
  await startRelay(t, url)
  await drained(sql)
  const byKey = new Map((await readTopic(topic)).map(r => [r.key?.toString() ?? null, r.value]))
  assert.deepEqual(byKey.get('b'), bytes)
  assert.equal(byKey.get('gone'), null)
  assert.equal(byKey.get('')?.toString(), 'null')
  assert.equal(byKey.get(null)?.toString(), '"no key"')
  assert.equal(byKey.get('ключ')?.toString(), '"é😀"')
})

test('events of a rolled-back transaction are never published', async t => {
  const { url, sql } = await createDatabase(t)
  const topic = await createTopic(t)
  await startRelay(t, url)
  const rollback = new Error('rolled back')
  await assert.rejects(
    sql.begin(async tx => {
      await tx`select outbox.enqueue(${topic}, 'k', 'T', '1')`
      throw rollback
    }),
    rollback,
  )
  await sql`select outbox.enqueue(${topic}, 'k', 'T', '2')`
  await drained(sql)
  const records = await readTopic(topic)
  assert.deepEqual(
    records.map(r => r.value?.toString()),
    ['2'],
  )
})

test('ten thousand events of two hundred keys arrive once each and in order per key', async t => {
  const { url, sql } = await createDatabase(t)
  const topic = await createTopic(t, { partitions: 6 })
  await startRelay(t, url, {
    slots: 4,
    workers: 2,
    reserveMs: 60_000,
    publishTimeoutMs: 30_000,
  })
  for (let round = 0; round < 10; round++) {
    await sql`
      insert into outbox.events (topic, key, event_type, payload)
      select ${topic}, 'k' || (n % 200), 'T', to_json(n) from generate_series(${round * 1000}::int, ${round * 1000 + 999}::int) n`
  }
  await drained(sql)
  const records = await readTopic(topic)
  assert.equal(records.length, 10_000)
  const last = new Map<string, number>()
  for (const record of records) {
    const key = String(record.key)
    const n = Number(record.value)
    assert.ok(n > (last.get(key) ?? -1), `${key}: ${n} came after ${last.get(key)}`)
    last.set(key, n)
  }
})

test('with a retention the published events stay, with their partition and offset', async t => {
  const { url, sql } = await createDatabase(t)
  const topic = await createTopic(t, { partitions: 4 })
  await sql`
    insert into outbox.events (topic, key, event_type, payload)
    select ${topic}, 'k' || n, 'T', to_json(n) from generate_series(1, 50) n`
  await startRelay(t, url, { retentionMs: 60_000 })
  await drained(sql)
  const rows = await sql<{ key: string; kafka_partition: number; kafka_offset: string }[]>`
    select key, kafka_partition, kafka_offset from outbox.published`
  const records = await readTopic(topic)
  assert.deepEqual(
    new Set(rows.map(row => `${row.key} ${row.kafka_partition} ${row.kafka_offset}`)),
    new Set(records.map(record => `${record.key} ${record.partition} ${record.offset}`)),
  )
  assert.equal(rows.length, 50)
})

test('one event of 2 MB among a thousand becomes a dead letter; the others arrive in order', async t => {
  const { url, sql } = await createDatabase(t)
  const topic = await createTopic(t, { partitions: 2 })
  await sql`
    insert into outbox.events (topic, key, event_type, payload)
    select ${topic}, 'k' || (n % 20), 'T',
           case when n = 500 then to_json(repeat('x', 2 * 1024 * 1024)) else to_json(n) end
    from generate_series(0, 999) n`
  const relay = await startRelay(t, url)
  await drained(sql)
  const dead = await sql`select reason, attempts, error, key from outbox.dead_letters`
  assert.equal(dead.length, 1)
  assert.equal(dead[0]?.reason, 'message_too_large')
  assert.equal(dead[0]?.key, 'k0')
  const records = await readTopic(topic)
  assert.equal(records.length, 999)
  for (let key = 0; key < 20; key++) {
    const values = records.filter(r => String(r.key) === `k${key}`).map(r => Number(r.value))
    assert.deepEqual(
      values,
      [...values].sort((a, b) => a - b),
    )
  }
  assert.equal(relay.told.filter(e => e.kind === 'breaker_changed').length, 0)
})

test('events that can never be published become dead letters with their reason; the rest goes on', async t => {
  const { url, sql } = await createDatabase(t)
  const topic = await createTopic(t)
  await sql`insert into outbox.events (topic, key, event_type) values ('no spaces', 'a', 'T')`
  await sql`insert into outbox.events (topic, key, event_type) values ('__consumer_offsets', 'a', 'T')`
  await sql`insert into outbox.events (topic, key, event_type, headers) values (${topic}, 'a', 'T', '{"n":1}')`
  await sql`insert into outbox.events (topic, key, event_type, expires_at) values (${topic}, 'a', 'T', now() - interval '1 s')`
  await sql`insert into outbox.events (topic, key, event_type, payload) values (${topic}, 'a', 'T', '"good"')`
  await startRelay(t, url)
  await drained(sql)
  const rows = await sql<{ reason: string; attempts: number }[]>`
    select reason, attempts from outbox.dead_letters order by id`
  assert.deepEqual(
    rows.map(row => row.reason),
    ['invalid_topic', 'invalid_topic', 'invalid_headers', 'expired'],
  )
  assert.deepEqual(
    (await readTopic(topic)).map(r => r.value?.toString()),
    ['"good"'],
  )
})

test('an event that the broker refuses is tried again with a backoff until its attempts are spent', async t => {
  const { url, sql } = await createDatabase(t)
  // A compacted topic refuses records without a key, one by one.
  const topic = await createTopic(t, { partitions: 1, config: { 'cleanup.policy': 'compact' } })
  await sql`insert into outbox.events (topic, event_type, payload) values (${topic}, 'T', '1')`
  await sql`insert into outbox.events (topic, key, event_type, payload) values (${topic}, 'k', 'T', '2')`
  const relay = await startRelay(t, url, { attemptsMax: 3 })
  await drained(sql)
  const [dead] = await sql`select reason, attempts from outbox.dead_letters`
  assert.deepEqual({ ...dead }, { reason: 'invalid_record', attempts: 3 })
  const retries = relay.told.filter(e => e.kind === 'retry_scheduled')
  assert.deepEqual(
    retries.map(e => e.kind === 'retry_scheduled' && e.attempt),
    [1, 2],
  )
  assert.deepEqual(
    (await readTopic(topic)).map(r => r.value?.toString()),
    ['2'],
  )
})

test('a delivery delay is kept and holds nothing else of its key back', async t => {
  const { url, sql } = await createDatabase(t)
  const topic = await createTopic(t, { partitions: 1 })
  await sql`insert into outbox.events (topic, key, event_type, payload, not_before) values (${topic}, 'k', 'T', '"later"', clock_timestamp() + interval '700 ms')`
  await sql`insert into outbox.events (topic, key, event_type, payload) values (${topic}, 'k', 'T', '"now"')`
  await startRelay(t, url)
  await drained(sql)
  const records = await readTopic(topic)
  assert.deepEqual(
    records.map(r => r.value?.toString()),
    ['"now"', '"later"'],
  )
})

test('events of a topic that does not exist wait, cost no attempt, and go out once it does', async t => {
  const { url, sql } = await createDatabase(t)
  const present = await createTopic(t)
  const missing = `missing-${randomUUID()}`
  await sql`insert into outbox.events (topic, key, event_type, payload) select ${missing}, 'k', 'T', to_json(n) from generate_series(1, 5) n`
  const relay = await startRelay(t, url)
  await until(async () => relay.facts?.breakersOpen.includes(`topic:${missing}`) ?? false, {
    deadlineMs: 20_000,
    what: 'the breaker of the missing topic is open',
  })
  await sql`insert into outbox.events (topic, key, event_type, payload) values (${present}, 'k', 'T', '1')`
  await until(async () => (await readTopic(present)).length === 1, {
    deadlineMs: 10_000,
    what: 'the other topic goes on',
  })
  const shown = await sql`select breaker from outbox.breakers`
  assert.deepEqual(
    shown.map(row => row.breaker),
    [`topic:${missing}`],
  )
  await createTopic(t, { name: missing, partitions: 1 })
  await drained(sql)
  const values = (await readTopic(missing)).map(r => Number(r.value))
  assert.deepEqual(values, [1, 2, 3, 4, 5])
  assert.equal((await sql`select 1 from outbox.dead_letters`).length, 0)
  assert.equal(relay.told.filter(e => e.kind === 'retry_scheduled').length, 0)
})
