// DATABASE_URL=… KAFKA_BROKERS=… node --import tsx examples/order-saga/main.ts
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { pino } from 'pino'
import postgres from 'postgres'
import { createBus } from '../../src/consumer/index.ts' // 'sluice-outbox/consumer' in your project
import { createOutbox, enqueue, migrate } from '../../src/index.ts' // 'sluice-outbox' in your project
import { offerOf, orderEvent, orderSaga } from './saga.ts'

const { DATABASE_URL = '', KAFKA_BROKERS = '', TOPIC: topic = 'order-saga' } = process.env
const PAY_WITHIN_MS = 4_000
const DEADLINE_MS = 25_000

const brokers = KAFKA_BROKERS.split(',')
const logger = pino({ name: 'saga' })
const sql = postgres(DATABASE_URL, { max: 2, onnotice: () => {} })
await migrate({ databaseUrl: DATABASE_URL, schemas: ['outbox', 'consumer'] })
await sql`drop schema if exists saga cascade`
await sql`create schema saga`
await sql`create table saga.orders (order_id text primary key, status text not null)`
await sql`create table saga.offers (order_id text primary key)`
await createTopic()

// In production: `sluice run`, beside the application. Here it runs within it.
const outbox = createOutbox({ config: { databaseUrl: DATABASE_URL, pollMs: 50 } })
await outbox.start()
const bus = createBus({ databaseUrl: DATABASE_URL, kafka: { brokers }, logger, controlTopic: null })
const { codec, envelope, handler } = orderSaga(topic, { payWithinMs: PAY_WITHIN_MS })
await bus.subscribe({ group: `${topic}-saga`, topics: [topic], codec, envelope }, handler)

const startedAtMs = Date.now()
await sql.begin(tx =>
  enqueue(tx, [
    orderEvent(topic, 'OrderPlaced', 'paid-in-time'),
    orderEvent(topic, 'OrderPlaced', 'never-paid'),
    offerOf(topic, 'never-paid', new Date(startedAtMs - 1_000)),
    offerOf(topic, 'paid-in-time', new Date(startedAtMs + 60_000)),
  ]),
)
await until('both are reserved', async () => {
  return (await found()).orders === 'never-paid reserved, paid-in-time reserved'
})
// The deadlines are on their way now, and the payment comes after its order's.
await sql.begin(tx => enqueue(tx, orderEvent(topic, 'OrderPaid', 'paid-in-time')))
await until('one is paid and the other waits', async () => {
  const { orders, offers } = await found()
  return orders === 'never-paid reserved, paid-in-time paid' && offers.length === 1
})
await until('the other is cancelled', async () => (await found()).orders.includes('cancelled'))
const cancelledAfterMs = Date.now() - startedAtMs
await bus.close()
await outbox.stop()

assert.ok(cancelledAfterMs >= PAY_WITHIN_MS, `cancelled after ${cancelledAfterMs} ms`)
assert.deepEqual(await found(), {
  orders: 'never-paid cancelled, paid-in-time paid',
  offers: ['paid-in-time'],
})
await sql.end()
logger.info({ cancelledAfterMs }, 'one order was paid, the other cancelled at its time')

async function found(): Promise<{ orders: string; offers: string[] }> {
  const orders = await sql`select order_id, status from saga.orders order by order_id`
  const offers = await sql`select order_id from saga.offers order by order_id`
  return {
    orders: orders.map(({ order_id, status }) => `${order_id} ${status}`).join(', '),
    offers: offers.map(({ order_id }) => order_id),
  }
}

async function until(what: string, predicate: () => Promise<boolean>): Promise<void> {
  for (const endMs = Date.now() + DEADLINE_MS; !(await predicate()); await pause(50)) {
    if (Date.now() > endMs) throw new Error(`did not become true in time: ${what}`)
  }
}

async function createTopic(): Promise<void> {
  const kafka = new Kafka({ clientId: 'saga', brokers, logLevel: logLevel.ERROR })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] })
  await admin.disconnect()
}
