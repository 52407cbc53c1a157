import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as elapse } from 'node:timers/promises'
import { withDeadline } from '../../src/internal/deadline.ts'
import { cleanup } from '../support/cleanup.ts'
import { createDatabase } from '../support/database.ts'
import { startReplica } from '../support/fleet.ts'
import { startRelay, type TestRelay } from '../support/relay.ts'
import { openShop, type ShopRun } from '../support/shop-run.ts'
import { until } from '../support/until.ts'
import { type OwnBroker, type OwnCluster, startOwnCluster } from './faults/own-cluster.ts'

const CLEAN = { lost: 0, phantom: 0, mutated: 0, outOfOrder: 0 }
const DEADLINE_MS = 60_000
const PUBLISH_TIMEOUT_MS = 1_500
const GRACE_MS = 3_000
/** Far below its grace. */
const FORCED_WITHIN_MS = 20_000

async function openShopOf(t: TestContext, cluster: OwnCluster) {
  const { url, sql } = await createDatabase(t)
  cleanup(t, () => cluster.heal())
  const brokers = cluster.directBrokers
  const shop = await openShop(t, { url, brokers, ratePerSecond: 100 })
  return { url, sql, shop }
}

async function openScene(t: TestContext, cluster: OwnCluster) {
  const { url, sql, shop } = await openShopOf(t, cluster)
  const relay = await startRelay(t, url, {
    kafka: { client: 'kafkajs', brokers: [...cluster.brokers], clientId: 'sluice-test' },
    publishTimeoutMs: PUBLISH_TIMEOUT_MS,
  })
  await until(() => confirms(relay) > 0, {
    deadlineMs: DEADLINE_MS,
    what: 'events are published and confirmed',
  })
  return { sql, shop, relay }
}

const confirms = ({ told }: TestRelay) => told.filter(({ kind }) => kind === 'confirmed').length

async function judge(t: TestContext, shop: ShopRun): Promise<number> {
  await shop.close()
  const { committed, duplicates, ...found } = await shop.verdict(DEADLINE_MS)
  t.diagnostic(`${committed} events, ${duplicates} duplicates`)
  const { lost, phantom, mutated, outOfOrder } = found
  assert.deepEqual({ lost, phantom, mutated, outOfOrder }, CLEAN)
  return duplicates
}

test('a broker that answers late, or never', async t => {
  const cluster = await startOwnCluster(t, { brokers: 1 })
  const broker = cluster.nodes[0] as OwnBroker

  await t.test('requests that land after their retry make duplicates, and no disorder', async t => {
    const { shop } = await openScene(t, cluster)
    const held = broker.proxy.holdRequests({
      api: 'produce',
      count: 4,
      every: 3,
      until: 'retried',
    })
    await until(() => held.delivered === 4, {
      deadlineMs: DEADLINE_MS,
      what: 'all held requests have landed late',
    })
    assert.ok((await judge(t, shop)) > 0, 'the late requests were written')
  })

  await t.test('a broker freezes for longer than a request may take, and thaws', async t => {
    const { shop, relay, sql } = await openScene(t, cluster)
    broker.freeze()
    const unanswered = () => relay.told.some(({ kind }) => kind === 'publish_failed')
    await until(unanswered, { deadlineMs: DEADLINE_MS, what: 'a request is given up' })
    const endMs = performance.now() + PUBLISH_TIMEOUT_MS
    while (performance.now() < endMs) {
      const open = await sql`
        select from pg_stat_activity
        where datname = current_database() and application_name like 'sluice %'
          and application_name <> 'sluice test' and state like 'idle in transaction%'`
      assert.equal(open.length, 0, 'no transaction waits for the broker')
      await elapse(100)
    }
    broker.thaw()
    await judge(t, shop)
  })

  await t.test('events that an operator deletes while they are on their way', async t => {
    const { sql, shop, relay } = await openScene(t, cluster)
    await shop.close()
    await until(async () => (await shop.waiting()) === 0, {
      deadlineMs: DEADLINE_MS,
      what: 'the outbox is empty',
    })
    broker.proxy.latency({ ms: 1_000, direction: 'answers' })
    const [row] = await sql<{ topic: string }[]>`select topic from shop.ledger limit 1`
    const produced = () => broker.proxy.requests.get(0) ?? 0
    const before = produced()
    await sql`
      insert into outbox.events (topic, key, event_type)
      select ${row?.topic as string}, 'key-' || n, 'T' from generate_series(1, 50) n`
    await until(() => produced() > before, { deadlineMs: DEADLINE_MS, what: 'they are sent' })
    const deleted = await sql`delete from outbox.events where key in ('key-1', 'key-2', 'key-3')`
    assert.equal(deleted.count, 3)
    await until(async () => (await shop.waiting()) === 0, {
      deadlineMs: DEADLINE_MS,
      what: 'the others are confirmed',
    })
    broker.proxy.heal()
    const fenced = relay.told.filter(each => each.kind === 'confirmed' && each.fenced > 0)
    assert.equal(fenced.length, 0)
    const after = confirms(relay)
    await sql`insert into outbox.events (topic, key, event_type) values (${row?.topic as string}, 'key-1', 'T')`
    await until(() => confirms(relay) > after, { deadlineMs: DEADLINE_MS, what: 'it goes on' })
  })

  await t.test('a stop ends within its grace though the broker swallows everything', async t => {
    const { url, sql, shop } = await openShopOf(t, cluster)
    const env = {
      DATABASE_URL: url,
      KAFKA_BROKERS: cluster.brokers.join(','),
      SLUICE_WORKERS: '1',
      SLUICE_RESERVE_MS: '20000',
      SLUICE_SHUTDOWN_GRACE_MS: String(GRACE_MS),
    }
    const patient = await startReplica(t, env)
    await until(() => shop.committed() > 50, { deadlineMs: DEADLINE_MS, what: 'events flow' })
    await until(async () => (await shop.waiting()) < 50, {
      deadlineMs: DEADLINE_MS,
      what: 'they are published',
    })
    const bitten = broker.proxy.bites.blackHole
    broker.proxy.blackHole()
    await until(() => broker.proxy.bites.blackHole > bitten, {
      deadlineMs: DEADLINE_MS,
      what: 'a request is on its way',
    })
    const stopMs = performance.now()
    assert.equal(await patient.end('SIGTERM'), 0)
    const tookMs = performance.now() - stopMs
    t.diagnostic(`stopped in ${Math.round(tookMs)} ms`)
    assert.ok(tookMs < GRACE_MS + 2_000, `${tookMs} ms`)
    const [left] =
      await sql`select count(*)::int as owned from outbox.lanes where owner is not null`
    assert.equal(left?.owned, 0, 'the lanes are free')

    const hurried = await startReplica(t, {
      ...env,
      SLUICE_RESERVE_MS: '3000',
      SLUICE_SHUTDOWN_GRACE_MS: '60000',
    })
    await until(async () => (await fetch(`${hurried.httpUrl}/livez`)).ok, {
      deadlineMs: DEADLINE_MS,
      what: 'it works',
    })
    hurried.signal('SIGTERM')
    await until(() => /stopping/.test(hurried.log), { deadlineMs: 5_000, what: 'it stops' })
    const late = () => new Error('the second signal did not end it')
    assert.equal(await withDeadline(hurried.end('SIGTERM'), FORCED_WITHIN_MS, late), 130)

    broker.proxy.heal()
    await startReplica(t, env)
    await judge(t, shop)
  })
})
