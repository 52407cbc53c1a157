// DATABASE_URL=… KAFKA_BROKERS=… node --import tsx examples/payment-service/main.ts
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { pino } from 'pino'
import postgres from 'postgres'
import { createBus, jsonCodec } from '../../src/consumer/index.ts' // 'sluice-outbox/consumer' in your project
import { createOutbox, enqueue, migrate } from '../../src/index.ts' // 'sluice-outbox' in your project
import { chargeAt, type PaymentDue, probeOf } from './charge.ts'
import { Provider } from './provider.ts'

const { DATABASE_URL = '', KAFKA_BROKERS = '', TOPIC: topic = 'payments' } = process.env
const PAYMENTS = 20
const DEADLINE_MS = 25_000

const brokers = KAFKA_BROKERS.split(',')
const logger = pino({ name: 'payments' })
const sql = postgres(DATABASE_URL, { max: 2, onnotice: () => {} })
await migrate({ databaseUrl: DATABASE_URL, schemas: ['outbox', 'consumer'] })
await sql`create schema if not exists payments`
await sql`drop table if exists payments.paid`
await sql`create table payments.paid (order_id text primary key, amount int not null)`
await createTopic()
const provider = await Provider.start()

// In production: `sluice run`, beside the application. Here it runs within it.
const outbox = createOutbox({ config: { databaseUrl: DATABASE_URL, pollMs: 50 } })
await outbox.start()
const bus = createBus({
  ...{ databaseUrl: DATABASE_URL, kafka: { brokers }, logger, controlTopic: null },
  dependencies: { payments: { probe: probeOf(provider.url), resetMs: 200, resetMaxMs: 1_000 } },
})
const subscription = await bus.subscribe(
  {
    group: `${topic}-charge`,
    topics: [topic],
    codec: jsonCodec<PaymentDue>(),
    needs: ['payments'],
  },
  chargeAt(provider.url),
)

// The last one is refused by the provider once it is there.
await sql.begin(tx =>
  enqueue(
    tx,
    Array.from({ length: PAYMENTS + 1 }, (_, index) => {
      const payload = { orderId: `order-${index}`, amount: index < PAYMENTS ? 10 : -1 }
      return { topic, key: payload.orderId, eventType: 'PaymentDue', payload }
    }),
  ),
)
await until('the subscription pauses', () => subscription.state === 'paused')
await pause(2_000)
assert.deepEqual(await paid(), { count: 0, total: 0 })
provider.comeUp()
await until('all is paid', async () => (await paid()).count === PAYMENTS)
await bus.close()
await outbox.stop()

assert.deepEqual(await paid(), { count: PAYMENTS, total: 10 * PAYMENTS })
assert.equal(provider.charges.size, PAYMENTS)
await Promise.all([provider.stop(), sql.end()])
logger.info({ payments: PAYMENTS, calls: provider.calls }, 'all is paid, each once')

async function paid(): Promise<{ count: number; total: number }> {
  const [row] = await sql<{ count: number; total: number }[]>`
    select count(*)::int as count, coalesce(sum(amount), 0)::int as total from payments.paid`
  return { count: row?.count ?? 0, total: row?.total ?? 0 }
}

async function until(what: string, predicate: () => boolean | Promise<boolean>): Promise<void> {
  for (const endMs = Date.now() + DEADLINE_MS; !(await predicate()); await pause(50)) {
    if (Date.now() > endMs) throw new Error(`did not become true in time: ${what}`)
  }
}

async function createTopic(): Promise<void> {
  const kafka = new Kafka({ clientId: 'payments', brokers, logLevel: logLevel.ERROR })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] })
  await admin.disconnect()
}
