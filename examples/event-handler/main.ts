// DATABASE_URL=… KAFKA_BROKERS=… node --import tsx examples/event-handler/main.ts
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { pino } from 'pino'
import postgres from 'postgres'
import { createBus, type RebalanceListener } from '../../src/consumer/index.ts' // 'sluice-outbox/consumer' in your project
import { migrate } from '../../src/index.ts' // 'sluice-outbox' in your project
import { OP, USER_CREATED, userEvents } from './users.ts'

const { DATABASE_URL = '', KAFKA_BROKERS = '', TOPIC: topic = 'users' } = process.env
const DEADLINE_MS = 25_000

const brokers = KAFKA_BROKERS.split(',')
const logger = pino({ name: 'users', level: 'debug' })
const sql = postgres(DATABASE_URL, { max: 2, onnotice: () => {} })
const kafka = new Kafka({ clientId: 'users', brokers, logLevel: logLevel.ERROR })
await migrate({ databaseUrl: DATABASE_URL, schemas: ['outbox', 'consumer'] })
await sql`create schema if not exists users`
await sql`drop table if exists users.accounts`
await sql`create table users.accounts (user_id text primary key, name text not null)`
await createTopic()

const names = new Map<string, string>()
const listener: RebalanceListener = {
  // Before the first message of these partitions: caches are loaded here, workers started.
  async assigned(claims) {
    for (const row of await sql`select user_id, name from users.accounts`) {
      names.set(row.user_id, row.name)
    }
    logger.info({ op: 'Setup', claims, cached: names.size }, 'Setup: partitions assigned')
  },
  // After the last: buffers are written out here, workers stopped.
  revoked(claims, why) {
    names.clear()
    logger.info({ op: 'Cleanup', claims, why }, 'Cleanup: partitions revoked')
  },
}

const bus = createBus({ databaseUrl: DATABASE_URL, kafka: { brokers }, logger, controlTopic: null })
const { codec, envelope, handler } = userEvents(logger)
const subscription = await bus.subscribe(
  { group: `${topic}-accounts`, topics: [topic], codec, envelope, listener },
  handler,
)
// Resolves when it was stopped; rejects when it has ended for good by itself.
subscription.completed.catch(err => logger.error({ op: OP, err }, 'session ended'))

await produceUsers()
for (const endMs = Date.now() + DEADLINE_MS; (await accounts()).length < 2; await pause(50)) {
  if (Date.now() > endMs) throw new Error('not handled in time')
}
await bus.close()
assert.deepEqual(await accounts(), ['Ada', 'Grace'])
await sql.end()
logger.info({ accounts: 2 }, 'both users are there, and the bad messages kept neither back')

async function accounts(): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`select name from users.accounts order by name`
  return rows.map(({ name }) => name)
}

/** As another service would, with four messages that cannot be handled. All are of one key. */
async function produceUsers(): Promise<void> {
  const ada = JSON.stringify({ userId: '1', name: 'Ada' })
  const grace = JSON.stringify({ userId: '2', name: 'Grace' })
  const known = { event_type: USER_CREATED }
  const producer = kafka.producer()
  await producer.connect()
  const messages = [
    { value: ada, headers: { ...known, event_id: randomUUID() } },
    { value: ada, headers: known },
    { value: ada, headers: { event_id: randomUUID() } },
    { value: '{"userId":', headers: { ...known, event_id: randomUUID() } },
    { value: ada, headers: { event_type: 'USER_RENAMED', event_id: randomUUID() } },
    { value: grace, headers: { ...known, event_id: randomUUID() } },
  ]
  await producer.send({ topic, messages: messages.map(each => ({ key: 'users', ...each })) })
  await producer.disconnect()
}

async function createTopic(): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] })
  await admin.disconnect()
}
