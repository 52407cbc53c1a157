import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as elapse } from 'node:timers/promises'
import { createDatabase } from '../support/database.ts'
import { startReplica } from '../support/fleet.ts'
import { kafkaBrokers } from '../support/parts.ts'
import { openShop } from '../support/shop-run.ts'

const TERMINATIONS = 100
const ROUNDS_MAX = 300

test('connections terminated again and again: the relay lives on, nothing is lost or out of order', async t => {
  const { url, sql } = await createDatabase(t)
  const brokers = kafkaBrokers()
  const shop = await openShop(t, { url, brokers, ratePerSecond: 300 })
  const replica = await startReplica(t, {
    DATABASE_URL: url,
    KAFKA_BROKERS: brokers.join(','),
    SLUICE_WORKERS: '1',
    SLUICE_RETENTION: '1h',
  })
  let terminated = 0
  for (let round = 0; terminated < TERMINATIONS && round < ROUNDS_MAX; round++) {
    const rows = await sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where application_name like 'sluice %' and application_name <> 'sluice test' and datname = current_database()`
    terminated += rows.length
    // The schedule of the fault, not a wait for an effect.
    await elapse(100)
  }
  await shop.close()
  const { committed, lost, phantom, mutated, outOfOrder, duplicates } = await shop.verdict(60_000)
  t.diagnostic(
    `${committed} events, ${terminated} connections terminated, ${duplicates} duplicates`,
  )
  assert.equal(replica.ended, false, replica.log)
  assert.ok(terminated >= TERMINATIONS)
  assert.deepEqual(
    { lost, phantom, mutated, outOfOrder },
    { lost: 0, phantom: 0, mutated: 0, outOfOrder: 0 },
  )
  assert.equal(await replica.end('SIGTERM'), 0)
})
