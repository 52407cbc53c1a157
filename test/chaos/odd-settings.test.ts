import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDatabase } from '../support/database.ts'
import { createTopic, readTopic } from '../support/kafka.ts'
import { kafkaBrokers } from '../support/parts.ts'
import { startRelay } from '../support/relay.ts'
import { openShop } from '../support/shop-run.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 60_000
const CLEAN = { lost: 0, phantom: 0, mutated: 0, outOfOrder: 0, duplicates: 0 }
/** Each of them is legal, and has broken some client of PostgreSQL. */
const ODD_DEFAULTS = {
  timezone: 'America/Sao_Paulo',
  datestyle: 'SQL, DMY',
  intervalstyle: 'sql_standard',
  bytea_output: 'escape',
  default_transaction_isolation: 'serializable',
  synchronous_commit: 'off',
  search_path: 'nowhere',
  statement_timeout: '50ms',
  extra_float_digits: '-15',
  standard_conforming_strings: 'off',
  quote_all_identifiers: 'on',
}

test('a database whose defaults are odd, and ids beyond 2^53, are read and written as any others', async t => {
  const { url, sql } = await createDatabase(t)
  const brokers = kafkaBrokers()
  const shop = await openShop(t, { url, brokers, ratePerSecond: 150 })
  const database = decodeURIComponent(new URL(url).pathname.slice(1))
  for (const [name, value] of Object.entries(ODD_DEFAULTS)) {
    const list = name === 'search_path' || name === 'datestyle'
    await sql.unsafe(`alter database "${database}" set ${name} to ${list ? value : `'${value}'`}`)
  }
  // Beyond what a number of JavaScript can hold, and about to have a digit more.
  await sql`alter table outbox.events alter column id restart with 9999999999999900`
  const topic = await createTopic(t)
  const bytes = Buffer.from([0, 1, 92, 39, 127, 128, 255])
  const delayMs = 1_500
  const [delayed] = await sql<{ dueMs: number }[]>`
    insert into outbox.events (topic, key, event_type, payload_bytes, not_before)
    values (${topic}, 'k', 'T', ${bytes}, clock_timestamp() + ${delayMs}::float8 * interval '1 ms')
    returning extract(epoch from not_before)::float8 * 1000 as "dueMs"`
  const relay = await startRelay(t, url, { retentionMs: 3_600_000 })
  await until(async () => (await readTopic(topic)).length === 1, {
    deadlineMs: DEADLINE_MS,
    what: 'the delayed event is there',
  })
  const [record] = await readTopic(topic)
  assert.deepEqual(record?.value, bytes)
  assert.ok(delayed && record && record.timestamp >= delayed.dueMs, 'not before it was due')
  assert.ok(record.timestamp < delayed.dueMs + 30 * 60_000, 'not by the hours of a time zone')
  await until(() => shop.committed() > 300, { deadlineMs: DEADLINE_MS, what: 'events flow' })
  await shop.close()
  const { lost, phantom, mutated, outOfOrder, duplicates } = await shop.verdict(DEADLINE_MS)
  assert.deepEqual({ lost, phantom, mutated, outOfOrder, duplicates }, CLEAN)
  assert.equal(relay.told.filter(({ kind }) => kind === 'confirm_failed').length, 0)
})
