import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { withDeadline } from '../../src/internal/deadline.ts'
import { Doorbell } from '../../src/outbox/doorbell.ts'
import { Database, type Sql } from '../../src/postgres/database.ts'
import { cleanup } from '../support/cleanup.ts'
import { createDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 15_000
const LONG_MS = 60_000

async function open(t: TestContext): Promise<{ bell: Doorbell; sql: Sql }> {
  const { url, sql } = await createDatabase(t)
  const name = 'doorbell test'
  const database = new Database({
    url,
    applicationName: name,
    connectionsMax: 1,
    statementTimeoutMs: 5_000,
  })
  const bell = new Doorbell(database, url, name)
  cleanup(t, async () => {
    await bell.stop()
    await database.stop()
  })
  const listens = async () =>
    (
      await sql`select from pg_stat_activity where application_name = ${name} and query ilike 'listen%'`
    ).length === 1
  await until(listens, { deadlineMs: DEADLINE_MS, what: 'the bell is listened to' })
  return { bell, sql }
}

const write = (sql: Sql) =>
  sql`insert into outbox.events (topic, key, event_type) values ('t', 'k', 'E')`

const late = () => new Error('it did not wake')

test('a writer wakes a relay that sleeps, however long it would; it has looked once more before', async t => {
  const { bell, sql } = await open(t)
  const { signal } = new AbortController()
  // The first call only announces the sleep, and returns for a last look.
  await withDeadline(bell.await(LONG_MS, signal), DEADLINE_MS, late)
  for (let n = 0; n < 3; n++) {
    const slept = bell.await(LONG_MS / 2, signal)
    await write(sql)
    await withDeadline(slept, DEADLINE_MS, late)
  }
})

test('a sleep that is longer than its announcement is announced once, not again and again', async t => {
  const { bell, sql } = await open(t)
  const { signal } = new AbortController()
  await withDeadline(bell.await(LONG_MS, signal), DEADLINE_MS, late)
  const announced = await sql`select last_value::text as until from outbox.asleep_until`
  const abort = new AbortController()
  const slept = bell.await(LONG_MS, abort.signal)
  assert.deepEqual(await sql`select last_value::text as until from outbox.asleep_until`, announced)
  const woken = await Promise.race([
    slept.then(() => true),
    sql`select pg_sleep(0.2)`.then(() => false),
  ])
  assert.equal(woken, false, 'it sleeps')
  abort.abort()
  await withDeadline(slept, DEADLINE_MS, late)
})

test('nobody rings while no relay sleeps', async t => {
  const { sql } = await open(t)
  const heard: string[] = []
  await sql.listen('sluice_outbox', text => heard.push(text))
  await write(sql)
  await sql`select setval('outbox.asleep_until', (extract(epoch from clock_timestamp()) * 1000)::bigint + 60000)`
  await write(sql)
  await until(() => heard.length > 0, { deadlineMs: DEADLINE_MS, what: 'the second one rings' })
  assert.equal(heard.length, 1)
})

test('a role that may only insert is not kept from it by the bell', async t => {
  const { sql } = await open(t)
  const role = `writer_${Math.random().toString(36).slice(2, 10)}`
  await sql.unsafe(`create role ${role}`)
  cleanup(t, async () => {
    await sql.unsafe(`drop owned by ${role}; drop role ${role}`)
  })
  await sql.unsafe(
    `grant usage on schema outbox to ${role};
     grant insert (topic, key, event_type, payload) on outbox.events to ${role}`,
  )
  await sql`select setval('outbox.asleep_until', (extract(epoch from clock_timestamp()) * 1000)::bigint + 60000)`
  await sql.begin(async tx => {
    await tx.unsafe(`set local role ${role}`)
    await tx`insert into outbox.events (topic, key, event_type) values ('t', 'k', 'E')`
  })
  assert.equal((await sql`select from outbox.events`).length, 1)
})

test('a wait ends at its time although nobody rings', async t => {
  const { bell } = await open(t)
  const { signal } = new AbortController()
  await bell.await(20, signal)
  await withDeadline(bell.await(20, signal), DEADLINE_MS, late)
})
