import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as elapse } from 'node:timers/promises'
import type postgres from 'postgres'
import { cleanup } from '../support/cleanup.ts'
import { createDatabase } from '../support/database.ts'
import { startRelay, type TestRelay } from '../support/relay.ts'
import { openShop, type ShopRun } from '../support/shop-run.ts'
import { until } from '../support/until.ts'
import { type OwnBroker, type OwnCluster, startOwnCluster } from './faults/own-cluster.ts'

const CLEAN = { lost: 0, phantom: 0, mutated: 0, outOfOrder: 0 }
const DEADLINE_MS = 90_000
/** Of one request; a frozen broker's silence is longer. */
const PUBLISH_TIMEOUT_MS = 2_000

interface Scene {
  readonly sql: postgres.Sql
  readonly shop: ShopRun
  readonly relay: TestRelay
  readonly topics: readonly string[]
}

async function openScene(t: TestContext, cluster: OwnCluster): Promise<Scene> {
  const { url, sql } = await createDatabase(t)
  cleanup(t, () => cluster.heal())
  const brokers = cluster.directBrokers
  const shop = await openShop(t, { url, brokers, ratePerSecond: 100 })
  const relay = await startRelay(t, url, {
    kafka: { client: 'kafkajs', brokers: [...cluster.brokers], clientId: 'sluice-test' },
    publishTimeoutMs: PUBLISH_TIMEOUT_MS,
    attemptsMax: 2,
  })
  await until(() => relay.told.some(({ kind }) => kind === 'confirmed'), {
    deadlineMs: DEADLINE_MS,
    what: 'events are published and confirmed',
  })
  const rows = await sql<{ topic: string }[]>`select distinct topic from shop.ledger`
  return { sql, shop, relay, topics: rows.map(({ topic }) => topic) }
}

async function judge(t: TestContext, { shop, sql }: Scene): Promise<number> {
  await shop.close()
  const { committed, duplicates, ...found } = await shop.verdict(DEADLINE_MS)
  t.diagnostic(`${committed} events, ${duplicates} duplicates`)
  const { lost, phantom, mutated, outOfOrder } = found
  assert.deepEqual({ lost, phantom, mutated, outOfOrder }, CLEAN)
  const [dead] = await sql`select count(*)::int as events from outbox.dead_letters`
  assert.equal(dead?.events, 0)
  return duplicates
}

async function leaderOf(cluster: OwnCluster, topic = ''): Promise<OwnBroker> {
  const [leader = 0] = await cluster.leaders(topic)
  return cluster.nodes[leader - 1]!
}

const failedWith = ({ relay }: Scene, code: string) =>
  relay.told.some(each => each.kind === 'publish_failed' && each.code === code)

test('a cluster that misbehaves', async t => {
  const cluster = await startOwnCluster(t)

  await t.test(
    'leaders move while one broker is slow: every partition gets its records',
    async t => {
      const scene = await openScene(t, cluster)
      cluster.nodes[1]?.proxy.latency({ ms: 300, jitterMs: 200 })
      let moved = 0
      for (let round = 0; round < 2; round++) {
        for (const topic of scene.topics) moved += await cluster.moveLeaders(topic)
      }
      t.diagnostic(`${moved} leaders moved`)
      assert.ok(moved >= 12, `${moved} leaders moved`)
      await judge(t, scene)
    },
  )

  await t.test('too few replicas in sync: events wait, and no attempt is spent', async t => {
    const scene = await openScene(t, cluster)
    for (const topic of scene.topics)
      await cluster.setTopicConfig(topic, 'min.insync.replicas', '3')
    const victim = await leaderOf(cluster, scene.topics[0])
    await victim.kill()
    await until(() => failedWith(scene, 'NOT_ENOUGH_REPLICAS'), {
      deadlineMs: DEADLINE_MS,
      what: 'a broker answers that replicas are missing',
    })
    const another = cluster.nodes.find(node => node.running)
    await another?.kill()
    await elapse(PUBLISH_TIMEOUT_MS)
    const [spent] = await scene.sql`
      select count(*) filter (where attempts > 0)::int as attempts, count(*)::int as waiting
      from outbox.events`
    assert.equal(spent?.attempts, 0)
    assert.ok(spent?.waiting > 0)
    await cluster.heal()
    await judge(t, scene)
  })

  await t.test('a leader freezes for longer than a request may take, and thaws', async t => {
    const scene = await openScene(t, cluster)
    const leader = await leaderOf(cluster, scene.topics[0])
    leader.freeze()
    const unanswered = () => scene.relay.told.some(({ kind }) => kind === 'publish_failed')
    await until(unanswered, { deadlineMs: DEADLINE_MS, what: 'a request is given up' })
    await elapse(2 * PUBLISH_TIMEOUT_MS)
    leader.thaw()
    await judge(t, scene)
  })
})
