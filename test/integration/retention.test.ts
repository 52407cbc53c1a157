import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { keepRetention } from '../../src/outbox/retention.ts'
import { Database, type Sql } from '../../src/postgres/database.ts'
import { cleanup } from '../support/cleanup.ts'
import { createDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'

const DAY_MS = 86_400_000
const SILENT = { debug() {}, info() {}, warn() {}, error() {} }
const DEADLINE_MS = 20_000

function run(t: TestContext, url: string, retentionMs: number): void {
  const database = new Database({
    url,
    applicationName: 'retention test',
    connectionsMax: 2,
    statementTimeoutMs: 10_000,
  })
  const stop = new AbortController()
  const running = keepRetention(database, retentionMs, SILENT, stop.signal)
  cleanup(t, async () => {
    stop.abort()
    await running
    await database.stop()
  })
}

async function partitions(sql: Sql): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'outbox.published'::regclass order by 1`
  return rows.map(({ name }) => name)
}

/** A day's partition, named as the relay does; the offset is in days from today (UTC). */
async function nameOf(sql: Sql, offset: number): Promise<string> {
  const [row] = await sql<{ name: string }[]>`
    select 'published_' || to_char((now() at time zone 'UTC')::date + ${offset}::int, 'YYYYMMDD') as name`
  return row?.name ?? ''
}

async function publish(sql: Sql, id: number, publishedAt: string): Promise<void> {
  await sql`
    insert into outbox.published (
      id, lane, event_id, topic, event_type, headers, created_at, attempts, published_at, kafka_partition, kafka_offset
    ) values (${id}, 0, gen_random_uuid(), 't', 'E', '{}', now(), 0, now() + ${publishedAt}::text::interval, 0, 0)`
}

test('published events have a partition for each day, made a week ahead', async t => {
  const { url, sql } = await createDatabase(t)
  const today = await nameOf(sql, 0)
  await sql.unsafe(`drop table outbox.${await nameOf(sql, 7)}, outbox.${await nameOf(sql, 3)}`)
  run(t, url, DAY_MS)
  const complete = async () => {
    const names = await partitions(sql)
    return names.includes(await nameOf(sql, 3)) && names.includes(await nameOf(sql, 7))
  }
  await until(complete, { deadlineMs: DEADLINE_MS, what: 'the missing days are there again' })
  await publish(sql, 1, '0')
  const [row] = await sql`select tableoid::regclass::text as name from outbox.published`
  assert.equal(row?.name, `outbox.${today}`)
})

test('a day that is wholly past the retention is dropped; one that is partly within it stays', async t => {
  const { url, sql } = await createDatabase(t)
  const [old, kept] = [await nameOf(sql, -9), await nameOf(sql, -7)]
  for (const [name, offset] of [
    [old, -9],
    [kept, -7],
  ] as const) {
    await sql.unsafe(`
      set timezone = 'UTC';
      create table outbox.${name} partition of outbox.published
        for values from ((current_date + ${offset})::timestamptz) to ((current_date + ${offset + 1})::timestamptz)`)
  }
  run(t, url, 7 * DAY_MS)
  const gone = async () => !(await partitions(sql)).includes(old)
  await until(gone, { deadlineMs: DEADLINE_MS, what: 'the old day is dropped' })
  assert.ok((await partitions(sql)).includes(kept))
})

test('a row that no day takes goes to the default partition, and from there when its time is over', async t => {
  const { url, sql } = await createDatabase(t)
  await publish(sql, 1, '-40 days')
  await publish(sql, 2, '-12 hours')
  run(t, url, 7 * DAY_MS)
  const pruned = async () => (await sql`select id::int from outbox.published`).length === 1
  await until(pruned, { deadlineMs: DEADLINE_MS, what: 'the old row is gone' })
  assert.deepEqual([...(await sql`select id::int from outbox.published`)], [{ id: 2 }])
})

test('a retention of less than a day is kept to the hour', async t => {
  const { url, sql } = await createDatabase(t)
  await publish(sql, 1, '-2 hours')
  await publish(sql, 2, '-1 minute')
  run(t, url, 3_600_000)
  const pruned = async () => (await sql`select from outbox.published`).length === 1
  await until(pruned, { deadlineMs: DEADLINE_MS, what: 'the older row is gone' })
})

test('a table that someone has locked is left for later, and nothing fails', async t => {
  const { sql } = await createDatabase(t)
  await sql.unsafe(`drop table outbox.${await nameOf(sql, 5)}`)
  const holder = await sql.reserve()
  await holder`begin`
  await holder`lock table outbox.published in access exclusive mode`
  const [result] = await sql`select * from outbox.keep_published('7 days')`
  assert.deepEqual(result, { created: 0, dropped: 0 })
  await holder`rollback`
  holder.release()
  const [later] = await sql`select * from outbox.keep_published('7 days')`
  assert.deepEqual(later, { created: 1, dropped: 0 })
})
