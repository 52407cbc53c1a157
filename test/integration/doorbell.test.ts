import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import { Database, type Sql } from '../../src/outbox/database.ts'
import { Doorbell } from '../../src/outbox/doorbell.ts'
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

test('a writer wakes a relay that sleeps; one that was woken looks once more before it sleeps again', async t => {
  const { bell, sql } = await open(t)
  const { signal } = new AbortController()
  for (let n = 0; n < 3; n++) {
    // The first call only announces the sleep and returns for a last look.
    let asleep = false
    const slept = (async () => {
      await bell.await(LONG_MS / 100, signal)
      asleep = true
      await bell.await(LONG_MS / 100, signal)
    })()
    await until(() => asleep, { deadlineMs: DEADLINE_MS, what: 'the sleep is announced' })
    await write(sql)
    await slept
  }
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

test('a wait ends at its time although nobody rings, and at once when it is aborted', async t => {
  const { bell } = await open(t)
  const { signal } = new AbortController()
  await bell.await(20, signal)
  await bell.await(20, signal)
  const abort = new AbortController()
  const waiting = bell.await(900, abort.signal)
  abort.abort()
  await waiting
  assert.ok(monotonicMs() > 0)
})
