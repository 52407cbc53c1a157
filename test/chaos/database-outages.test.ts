import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as elapse } from 'node:timers/promises'
import pg from 'pg'
import type { Options } from '../../src/options.ts'
import { cleanup } from '../support/cleanup.ts'
import { createTopic, readTopic } from '../support/kafka.ts'
import { kafkaBrokers } from '../support/parts.ts'
import { startRelay, type TestRelay } from '../support/relay.ts'
import { openShop, type ShopRun } from '../support/shop-run.ts'
import { until } from '../support/until.ts'
import { type OwnPostgres, startOwnPostgres } from './faults/own-postgres.ts'
import { type OwnOutbox, ownOutbox } from './own-outbox.ts'

const CLEAN = { lost: 0, phantom: 0, mutated: 0, outOfOrder: 0 }
const DEADLINE_MS = 60_000
/** Longer than a statement of the relay may take on the server, and than the relay waits for its answer. */
const SILENCE_MS = 8_000

const TIMED_OUT = new Set(['reserve_failed', 'confirm_failed'])

/** So few connections, and so small a queue of notifications, that a test can use them up. */
const SETTINGS = { max_connections: '40', max_notify_queue_pages: '64' }

interface Scene extends OwnOutbox {
  readonly shop: ShopRun
  readonly relay: TestRelay
}

/** A relay that works on what a shop writes. */
async function openScene(
  t: TestContext,
  server: OwnPostgres,
  more: Partial<Options> = {},
): Promise<Scene> {
  const outbox = await ownOutbox(t, server)
  cleanup(t, () => server.heal())
  const brokers = kafkaBrokers()
  const shop = await openShop(t, { url: outbox.directUrl, brokers, ratePerSecond: 150 })
  const relay = await startRelay(t, outbox.url, more)
  const published = () => relay.told.some(({ kind }) => kind === 'confirmed')
  await until(published, { deadlineMs: DEADLINE_MS, what: 'events are published and confirmed' })
  return { ...outbox, shop, relay }
}

/** Ends the writing, waits until all is published, and finds nothing wrong. Returns the number of duplicates. */
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

const toldOf = ({ relay }: Scene, kind: string) => relay.told.filter(each => each.kind === kind)

test('a server that misbehaves', async t => {
  const server = await startOwnPostgres(t, { settings: SETTINGS })

  await t.test(
    'confirms whose answers get lost are repeated, and change nothing a second time',
    async t => {
      const scene = await openScene(t, server, { retentionMs: 3_600_000, reserveMs: 30_000 })
      const swallowed = server.proxy.swallowAnswers({
        sql: /delete from outbox\.events/,
        count: 4,
        every: 2,
      })
      await swallowed.bites({ times: 4, deadlineMs: DEADLINE_MS })
      assert.equal(await judge(t, scene), 0, 'no event is published twice')
      const [kept] = await scene.sql`
        select count(*)::int as rows, count(distinct event_id)::int as events,
          (select count(*)::int from shop.ledger) as committed
        from outbox.published`
      assert.deepEqual([kept?.rows, kept?.events], [kept?.committed, kept?.committed])
    },
  )

  await t.test('renewals and take-overs whose answers get lost leave no lane behind', async t => {
    const scene = await openScene(t, server)
    const swallowed = server.proxy.swallowAnswers({ sql: /update outbox\.lanes/, count: 3 })
    await swallowed.bites({ times: 3, deadlineMs: DEADLINE_MS })
    await judge(t, scene)
    await scene.relay.stop()
    const [left] = await scene.sql`
      select count(*)::int as owned from outbox.lanes where owner is not null`
    assert.equal(left?.owned, 0)
  })

  await t.test(
    'a database that falls silent is given up in time, and found again when it speaks',
    async t => {
      const scene = await openScene(t, server)
      server.proxy.blackHole()
      const opened = () =>
        toldOf(scene, 'breaker_changed').some(
          each => each.kind === 'breaker_changed' && each.breaker === 'database',
        )
      await until(opened, { deadlineMs: 20_000, what: 'the breaker of the database opens' })
      await elapse(1_000)
      const healedAt = scene.relay.told.length
      // What was held arrives now, also of connections that the relay has given up.
      server.proxy.heal()
      const confirmed = () =>
        scene.relay.told.slice(healedAt).some(({ kind }) => kind === 'confirmed')
      await until(confirmed, { deadlineMs: 20_000, what: 'events are confirmed again' })
      await judge(t, scene)
    },
  )

  await t.test('a table that someone locks holds the relay up, and nothing else', async t => {
    const scene = await openScene(t, server, { reserveMs: 30_000 })
    const locker = new pg.Client({ connectionString: scene.directUrl })
    await locker.connect()
    cleanup(t, () => locker.end())
    await locker.query('begin')
    await locker.query('lock table outbox.events in access exclusive mode')
    const lockedAt = performance.now()
    const before = scene.relay.told.length
    // Whether a reading waits at the lock, or a confirm with the readings behind it, is up to the moment of locking.
    const failures = () =>
      scene.relay.told.slice(before).filter(({ kind }) => TIMED_OUT.has(kind)).length
    await until(() => failures() >= 2, {
      deadlineMs: 2.5 * SILENCE_MS,
      what: 'statements are ended by their time-out',
    })
    const failed = failures()
    const lockedMs = performance.now() - lockedAt
    await locker.query('rollback')
    t.diagnostic(`${failed} statements failed in ${Math.round(lockedMs)} ms`)
    assert.ok(failed <= 2 + 2 * (lockedMs / 1_000), 'and are not repeated at once')
    assert.equal(toldOf(scene, 'lanes_given_up').length, 0, 'the lanes stay')
    assert.equal(await judge(t, scene), 0, 'no event is published twice')
  })

  await t.test('when all connections of the server are taken, the relay waits for one', async t => {
    const scene = await openScene(t, server)
    const fillers: pg.Client[] = []
    cleanup(t, async () => {
      await Promise.all(fillers.map(each => each.end().catch(() => {})))
    })
    const full = async () => {
      const client = new pg.Client({ connectionString: scene.directUrl })
      client.on('error', () => {})
      try {
        await client.connect()
        fillers.push(client)
        return false
      } catch (error) {
        return (error as { code?: string }).code === '53300'
      }
    }
    const shut = async () => {
      await scene.sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where application_name like 'sluice %' and datname = current_database()`
      while (!(await full()));
      return toldOf(scene, 'breaker_changed').some(
        each =>
          each.kind === 'breaker_changed' &&
          each.breaker === 'database' &&
          /too many|reserved/.test(each.reason),
      )
    }
    await until(shut, { deadlineMs: DEADLINE_MS, what: 'no connection is left to the relay' })
    await Promise.all(fillers.splice(0).map(each => each.end()))
    await judge(t, scene)
  })

  await t.test('the doorbell is heard again after its connection was cut', async t => {
    const { url, sql } = await ownOutbox(t, server)
    const topic = await createTopic(t)
    await startRelay(t, url, { pollMs: 30_000 })
    const listeners = async () => {
      const rows = await sql<{ pid: number }[]>`
        select pid from pg_stat_activity
        where datname = current_database() and lower(query) like 'listen%' and pid <> pg_backend_pid()`
      return rows.map(({ pid }) => pid)
    }
    let records = 0
    const arrives = async () => {
      await sql`insert into outbox.events (topic, key, event_type) values (${topic}, 'k', 'T')`
      records++
      // Far less than a poll takes.
      const found = async () => (await readTopic(topic)).length === records
      await until(found, { deadlineMs: 12_000, what: `record ${records} is there` })
    }
    await until(async () => (await listeners()).length === 1, {
      deadlineMs: DEADLINE_MS,
      what: 'the relay listens',
    })
    await arrives()
    const [cut] = await listeners()
    await sql`select pg_terminate_backend(${cut as number})`
    const another = async () => (await listeners()).some(pid => pid !== cut)
    await until(another, { deadlineMs: DEADLINE_MS, what: 'the relay listens again' })
    await arrives()
    await arrives()
  })

  await t.test('writers are not failed by a full queue of notifications', async t => {
    const { url, directUrl, sql } = await ownOutbox(t, server)
    const topic = await createTopic(t)
    await startRelay(t, url, { pollMs: 1_000 })
    const deaf = new pg.Client({ connectionString: directUrl })
    await deaf.connect()
    cleanup(t, () => deaf.end())
    // What it has not heard stays in the queue while its transaction is open.
    await deaf.query('listen nothing')
    await deaf.query('begin')
    const fill = async () => {
      for (let n = 0; ; n++) await sql`select pg_notify('nothing', repeat('x', 7000) || ${n}::int)`
    }
    await assert.rejects(fill(), /too many notifications/)
    const asleep = async () => {
      const [row] = await sql<{ asleep: boolean }[]>`
        select last_value > extract(epoch from clock_timestamp()) * 1000 as asleep
        from outbox.asleep_until`
      if (!row?.asleep) return false
      await sql`insert into outbox.events (topic, key, event_type) values (${topic}, 'k', 'T')`
      return true
    }
    for (let written = 1; written <= 3; written++) {
      await until(asleep, { deadlineMs: DEADLINE_MS, what: 'a writer would have to ring' })
      await until(async () => (await readTopic(topic)).length === written, {
        deadlineMs: DEADLINE_MS,
        what: 'the event is found without the bell',
      })
    }
  })
})
