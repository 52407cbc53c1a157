import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as elapse } from 'node:timers/promises'
import { createDatabase } from '../support/database.ts'
import { startReplica } from '../support/fleet.ts'
import { type OwnKafka, startOwnKafka } from '../support/own-kafka.ts'
import { openShop } from '../support/shop-run.ts'
import { until } from '../support/until.ts'

/** A minute in a campaign; less in the daily run. */
const OUTAGE_MS = Number(process.env.OUTAGE_SECONDS ?? 8) * 1_000
/** An outage is told of at its start and once a minute, however many batches fail. */
const LOG_LINES_MAX = 12
const CLEAN = { lost: 0, phantom: 0, mutated: 0, outOfOrder: 0 }

const replicaEnv = (url: string, kafka: OwnKafka): NodeJS.ProcessEnv => ({
  DATABASE_URL: url,
  KAFKA_BROKERS: kafka.brokers.join(','),
  SLUICE_WORKERS: '1',
  SLUICE_RESERVE_MS: '6000',
  SLUICE_RETENTION: '0',
})

test('while Kafka is down no attempt is spent; afterwards everything drains by itself', async t => {
  const { url, sql } = await createDatabase(t)
  const kafka = await startOwnKafka(t)
  const shop = await openShop(t, { url, brokers: kafka.brokers, ratePerSecond: 300 })
  const replica = await startReplica(t, replicaEnv(url, kafka))
  await until(async () => shop.committed() > 600, { deadlineMs: 30_000, what: 'events flow' })
  await kafka.kill()
  const before = shop.committed()
  await elapse(OUTAGE_MS)
  assert.ok(shop.committed() > before, 'writers go on during the outage')
  const [open] = await sql`select breaker from outbox.breakers`
  assert.equal(open?.breaker, 'cluster')
  const ready = await fetch(`${replica.httpUrl}/readyz?verbose`)
  assert.equal(ready.status, 200)
  assert.match(await ready.text(), /degraded/)
  const [spent] = await sql`select count(*)::int as events from outbox.events where attempts > 0`
  assert.equal(spent?.events, 0, 'no attempt is spent')
  const lines = replica.log.split('\n').length
  t.diagnostic(`${lines} log lines`)
  assert.ok(lines < LOG_LINES_MAX, `an outage of ${OUTAGE_MS} ms made ${lines} log lines`)
  await kafka.restart()
  const healedMs = performance.now()
  await until(async () => (await shop.waiting()) < 50, {
    deadlineMs: 60_000,
    what: 'the backlog drains',
  })
  t.diagnostic(`drained ${Math.round(performance.now() - healedMs)} ms after the broker answered`)
  await shop.close()
  const { committed, duplicates, lost, phantom, mutated, outOfOrder } = await shop.verdict(60_000)
  t.diagnostic(`${committed} events, ${duplicates} duplicates`)
  assert.deepEqual({ lost, phantom, mutated, outOfOrder }, CLEAN)
  assert.equal((await sql`select 1 from outbox.dead_letters`).length, 0)
  assert.equal(await replica.end('SIGTERM'), 0)
})

test('a broker that answers nothing: a stop keeps to its grace, and nothing is lost after it thaws', async t => {
  const { url, sql } = await createDatabase(t)
  const kafka = await startOwnKafka(t)
  const shop = await openShop(t, { url, brokers: kafka.brokers, ratePerSecond: 300 })
  const env = replicaEnv(url, kafka)
  const first = await startReplica(t, { ...env, SLUICE_SHUTDOWN_GRACE_MS: '4000' })
  await until(async () => shop.committed() > 600, { deadlineMs: 30_000, what: 'events flow' })
  await kafka.freeze()
  const before = shop.committed()
  await until(async () => shop.committed() > before + 100, {
    deadlineMs: 30_000,
    what: 'events wait',
  })
  const stopMs = performance.now()
  assert.equal(await first.end('SIGTERM'), 0)
  t.diagnostic(`stopped in ${Math.round(performance.now() - stopMs)} ms`)
  const [lanes] = await sql`select count(*)::int as owned from outbox.lanes where owner is not null`
  assert.equal(lanes?.owned, 0)
  await kafka.thaw()
  await startReplica(t, env)
  await shop.close()
  const { duplicates, lost, phantom, mutated, outOfOrder } = await shop.verdict(60_000)
  t.diagnostic(`${duplicates} duplicates`)
  assert.deepEqual({ lost, phantom, mutated, outOfOrder }, CLEAN)
})
