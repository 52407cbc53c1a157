import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as elapse } from 'node:timers/promises'
import { createDatabase } from '../support/database.ts'
import { startReplica } from '../support/fleet.ts'
import { kafkaBrokers } from '../support/parts.ts'
import { openShop } from '../support/shop-run.ts'
import { until } from '../support/until.ts'

/** A minute in a campaign; less in the daily run. */
const SECONDS = Number(process.env.CHAOS_SECONDS ?? 15)
const KILL_EVERY_MS = 5_000

test('three replicas, one killed every five seconds under load: nothing lost, nothing out of order', async t => {
  const { url } = await createDatabase(t)
  const brokers = kafkaBrokers()
  const shop = await openShop(t, { url, brokers, ratePerSecond: 400 })
  const env = {
    DATABASE_URL: url,
    KAFKA_BROKERS: brokers.join(','),
    SLUICE_WORKERS: '1',
    SLUICE_RESERVE_MS: '3000',
    SLUICE_RETENTION: '0',
  }
  const replicas = await Promise.all([1, 2, 3].map(() => startReplica(t, env)))
  const endMs = performance.now() + SECONDS * 1_000
  let kills = 0
  while (performance.now() < endMs) {
    // The schedule of the fault, not a wait for an effect.
    await elapse(KILL_EVERY_MS)
    const victim = kills++ % replicas.length
    assert.equal(await replicas[victim]?.end('SIGKILL'), 'SIGKILL')
    replicas[victim] = await startReplica(t, env)
  }
  await shop.close()
  const { committed, lost, phantom, mutated, outOfOrder, duplicates } = await shop.verdict(60_000)
  t.diagnostic(`${committed} events, ${kills} kills, ${duplicates} duplicates`)
  assert.ok(committed > 1_000)
  assert.deepEqual(
    { lost, phantom, mutated, outOfOrder },
    { lost: 0, phantom: 0, mutated: 0, outOfOrder: 0 },
  )
})

test('a paused replica that wakes after its lease finds its lanes taken and changes nothing', async t => {
  const { url, sql } = await createDatabase(t)
  const brokers = kafkaBrokers()
  const shop = await openShop(t, { url, brokers, ratePerSecond: 300 })
  const env = {
    DATABASE_URL: url,
    KAFKA_BROKERS: brokers.join(','),
    SLUICE_WORKERS: '1',
    SLUICE_RESERVE_MS: '2000',
    SLUICE_RETENTION: '0',
  }
  const paused = await startReplica(t, env)
  await until(async () => shop.committed() > 300, { deadlineMs: 30_000, what: 'events flow' })
  const other = await startReplica(t, env)
  const owners = () => sql`select distinct owner from outbox.lanes where leased_until > now()`
  await until(async () => (await owners()).length === 2, {
    deadlineMs: 20_000,
    what: 'both own lanes',
  })
  paused.signal('SIGSTOP')
  await until(async () => (await owners()).length === 1, {
    deadlineMs: 20_000,
    what: 'the other one has taken all lanes',
  })
  paused.signal('SIGCONT')
  await until(async () => (await owners()).length === 2, {
    deadlineMs: 20_000,
    what: 'it works again',
  })
  await shop.close()
  const { lost, phantom, mutated, outOfOrder, duplicates } = await shop.verdict(60_000)
  t.diagnostic(`${duplicates} duplicates`)
  assert.deepEqual(
    { lost, phantom, mutated, outOfOrder },
    { lost: 0, phantom: 0, mutated: 0, outOfOrder: 0 },
  )
  assert.equal(await other.end('SIGTERM'), 0)
  assert.equal(await paused.end('SIGTERM'), 0)
  const [left] = await sql`select count(*)::int as owned from outbox.lanes where owner is not null`
  assert.equal(left?.owned, 0)
})
