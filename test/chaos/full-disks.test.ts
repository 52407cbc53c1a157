import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as elapse } from 'node:timers/promises'
import pg from 'pg'
import type postgres from 'postgres'
import { cleanup } from '../support/cleanup.ts'
import { createDatabase } from '../support/database.ts'
import { createTopic, readTopic } from '../support/kafka.ts'
import { startRelay, type TestRelay } from '../support/relay.ts'
import { openShop, type ShopRun } from '../support/shop-run.ts'
import { until } from '../support/until.ts'
import { startOwnCluster } from './faults/own-cluster.ts'
import { startOwnPostgres } from './faults/own-postgres.ts'
import { ownOutbox } from './own-outbox.ts'

const CLEAN = { lost: 0, phantom: 0, mutated: 0, outOfOrder: 0 }
const DEADLINE_MS = 60_000
const POSTGRES_DISK_BYTES = 128 * 1024 * 1024
const KAFKA_DISK_BYTES = 64 * 1024 * 1024
const FULL_MS = 3_000
const KEYS = 20
const EVENTS = 2_000
const ASK_LIMITS = { connectionTimeoutMillis: 2_000, query_timeout: 10_000 }

const mayMount = process.platform === 'linux' && process.getuid?.() === 0
const skip = mayMount ? false : 'a small disk needs Linux and the right to mount (root)'

async function flowing(relay: TestRelay): Promise<void> {
  const published = () => relay.told.some(({ kind }) => kind === 'confirmed')
  await until(published, { deadlineMs: DEADLINE_MS, what: 'events are published and confirmed' })
}

async function judge(t: TestContext, shop: ShopRun, sql: postgres.Sql): Promise<void> {
  await shop.close()
  const { committed, duplicates, ...found } = await shop.verdict(DEADLINE_MS)
  t.diagnostic(`${committed} events, ${duplicates} duplicates`)
  const { lost, phantom, mutated, outOfOrder } = found
  assert.deepEqual({ lost, phantom, mutated, outOfOrder }, CLEAN)
  const [dead] = await sql`select count(*)::int as events from outbox.dead_letters`
  assert.equal(dead?.events, 0)
}

test('the disk of PostgreSQL is full: the relay waits, and goes on when there is room', {
  skip,
}, async t => {
  const server = await startOwnPostgres(t, { diskBytesMax: POSTGRES_DISK_BYTES })
  const { url, directUrl } = await ownOutbox(t, server)
  cleanup(t, () => server.heal())
  const topic = await createTopic(t, { partitions: 3 })
  // A connection for each: postgres.js 3.4.9 tells the first statement after a reconnection of the last error before.
  const ask = async (text: string, values: unknown[] = []) => {
    const client = new pg.Client({ connectionString: directUrl, ...ASK_LIMITS })
    client.on('error', () => {})
    try {
      await client.connect()
      return await client.query(text, values)
    } finally {
      await client.end().catch(() => {})
    }
  }
  const write = (from: number, to: number) =>
    ask(
      `insert into outbox.events (topic, key, event_type, payload)
      select $1, 'key-' || n % ${KEYS}, 'T', to_json(n) from generate_series($2::int, $3::int) n`,
      [topic, from, to],
    )
  await write(1, EVENTS)
  // So slowly that there is work left when the disk is full.
  const relay = await startRelay(t, url, { batchSize: 10, slots: 1 })
  await flowing(relay)
  await server.fillDisk()
  const refused = async () => {
    // The server has some room left in its log.
    await ask(`select pg_logical_emit_message(false, 'filler', repeat('x', 1000000))`).catch(
      () => {},
    )
    return relay.told.some(({ kind }) => /^(reserve|confirm)_failed$/.test(kind))
  }
  await until(refused, { deadlineMs: DEADLINE_MS, what: 'a statement of the relay fails' })
  const before = relay.told.length
  await elapse(FULL_MS)
  const told = relay.told.length - before
  t.diagnostic(`told of ${told} things in ${FULL_MS} ms`)
  assert.ok(told < FULL_MS / 10, 'it does not spin')
  await server.heal()
  await write(EVENTS + 1, 2 * EVENTS)
  const empty = async () => (await ask('select from outbox.events limit 1')).rowCount === 0
  await until(empty, { deadlineMs: DEADLINE_MS, what: 'the outbox is empty' })
  const seen = new Map<string, Set<number>>()
  for (const { key, value } of await readTopic(topic)) {
    const numbers = seen.get(String(key)) ?? new Set()
    seen.set(String(key), numbers.add(Number(value)))
  }
  assert.equal(seen.size, KEYS)
  for (const [key, numbers] of seen) {
    const rest = Number(key.slice('key-'.length))
    const written = Array.from({ length: 2 * EVENTS }, (_, index) => index + 1)
    const expected = written.filter(n => n % KEYS === rest)
    assert.deepEqual([...numbers], expected, `first deliveries of ${key}`)
  }
})

test('the disk of a broker is full: events wait, and go out when it is back', {
  skip,
}, async t => {
  const cluster = await startOwnCluster(t, { brokers: 1, diskBytesMax: KAFKA_DISK_BYTES })
  const { url, sql } = await createDatabase(t)
  const [broker] = cluster.nodes
  cleanup(t, () => cluster.heal())
  const brokers = cluster.directBrokers
  const shop = await openShop(t, { url, brokers, ratePerSecond: 100 })
  const relay = await startRelay(t, url, {
    kafka: { client: 'kafkajs', brokers: [...cluster.brokers], clientId: 'sluice-test' },
    attemptsMax: 2,
  })
  await flowing(relay)
  await broker?.fillDisk()
  await until(() => relay.told.some(({ kind }) => kind === 'publish_failed'), {
    deadlineMs: DEADLINE_MS,
    what: 'a batch fails',
  })
  await elapse(FULL_MS)
  const [spent] = await sql`
    select count(*)::int as events from outbox.events where attempts > 0`
  assert.equal(spent?.events, 0, 'no attempt is spent')
  await cluster.heal()
  await judge(t, shop, sql)
})
