// DATABASE_URL=… KAFKA_BROKERS=… node --import tsx examples/enqueue-in-transaction/main.ts
import { setTimeout as pause } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import pg from 'pg'
import postgres from 'postgres'
import { createOutbox, migrate } from '../../src/index.ts' // 'sluice-outbox' in your project
import { startConsumer } from './consumer.ts'
import { placeOrder as placeOrderByPg } from './place-order-pg.ts'
import { placeOrder as placeOrderByPostgresJs } from './place-order-postgres-js.ts'

const { DATABASE_URL = '', KAFKA_BROKERS = '', TOPIC: topic = 'orders' } = process.env
const ORDERS = 20
const DEADLINE_MS = 30_000

const brokers = KAFKA_BROKERS.split(',')
const kafka = new Kafka({ clientId: 'shop', brokers, logLevel: logLevel.ERROR })
const pool = new pg.Pool({ connectionString: DATABASE_URL })
const sql = postgres(DATABASE_URL, { max: 4, onnotice: () => {} })
await migrate({ databaseUrl: DATABASE_URL })
await createTables()
await createTopic()

// In production: `sluice run`, beside the application. Here it runs within it.
const outbox = createOutbox({ config: { databaseUrl: DATABASE_URL, pollMs: 50 } })
await outbox.start()
const consumer = await startConsumer(kafka, sql, topic)

for (let n = 1; n <= ORDERS; n++) {
  await placeOrderByPg(pool, topic, n)
  await placeOrderByPostgresJs(sql, topic, n)
}
let rolledBack = 0
await placeOrderByPg(pool, topic, -1).catch(() => rolledBack++)
await placeOrderByPostgresJs(sql, topic, -1).catch(() => rolledBack++)
await deliverAgain(await placeOrderByPg(pool, topic, 1_000), 1_000)

const expected = ORDERS * (ORDERS + 1) + 1_000
for (const endMs = Date.now() + DEADLINE_MS; ; await pause(50)) {
  const [turnover] = await sql<{ total: number; repeated: number }[]>`
    select total, repeated from shop.turnover`
  if (turnover?.total === expected && turnover.repeated === 1) break
  if (Date.now() > endMs) throw new Error(`not handled in time: ${JSON.stringify(turnover)}`)
}
await consumer.disconnect()
await outbox.stop()
await Promise.all([pool.end(), sql.end()])
process.stdout.write(
  `${2 * ORDERS + 1} orders placed, ${rolledBack} rolled back, 1 event delivered twice: turnover ${expected}\n`,
)

/** As after a crash between Kafka's answer and the relay's own note of it. */
async function deliverAgain(eventId: string, total: number): Promise<void> {
  const producer = kafka.producer()
  await producer.connect()
  const headers = { event_id: eventId }
  await producer.send({ topic, messages: [{ headers, value: JSON.stringify({ total }) }] })
  await producer.disconnect()
}

async function createTables(): Promise<void> {
  await sql`create schema if not exists shop`
  await sql`create table if not exists shop.orders (id int generated always as identity primary key, total int)`
  await sql`create table if not exists shop.handled (event_id uuid primary key)`
  await sql`drop table if exists shop.turnover`
  await sql`create table shop.turnover as select 0 as total, 0 as repeated`
}

/** Sluice creates no topics. */
async function createTopic(): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] })
  await admin.disconnect()
}
