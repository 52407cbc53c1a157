// DATABASE_URL=… KAFKA_BROKERS=… node --import tsx examples/own-adapter/main.ts
import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { Kafka } from 'kafkajs'
import pg from 'pg'
import { pino } from 'pino'
import { createOutbox } from '../../src/index.ts' // 'sluice-outbox' in your project
import { MessageAdapter } from './message-adapter.ts'

const { DATABASE_URL, KAFKA_BROKERS = '', TOPIC: topic = 'orders' } = process.env
const MESSAGES = 500
const DEADLINE_MS = 30_000

const logger = pino({ name: 'shop' })
const pool = new pg.Pool({ connectionString: DATABASE_URL, query_timeout: 5_000 })
await pool.query(await readFile(new URL('schema.sql', import.meta.url), 'utf8'))
await createTopic()

const outbox = createOutbox({
  logger,
  adapter: new MessageAdapter(pool),
  // One reservation at a time: a second slot would only wait for the first. Everything else from the environment.
  config: { slots: 1, pollMs: 50 },
  listeners: [
    event => {
      if (event.kind !== 'published') return
      const { topic, acked, rejected, unknown } = event
      logger.info({ topic, acked, rejected, unknown }, 'published')
    },
  ],
})
await outbox.start()

await pool.query(
  `insert into shop.messages (channel, subject, kind, body)
   select $1, 'order-' || n % 50, 'OrderPlaced', json_build_object('n', n)::text
   from generate_series(1, $2::int) n`,
  [topic, MESSAGES],
)
for (const endMs = Date.now() + DEADLINE_MS; (await countWaiting()) > 0; ) {
  if (Date.now() > endMs) throw new Error(`messages still wait after ${DEADLINE_MS} ms`)
  await pause(50)
}
await outbox.stop()
await pool.end()
logger.info({ messages: MESSAGES }, 'all messages are published')

async function countWaiting(): Promise<number> {
  const count = 'select count(*)::int as waiting from shop.messages where channel = $1'
  const { rows } = await pool.query(count, [topic])
  return rows[0].waiting
}

/** Sluice creates no topics. */
async function createTopic(): Promise<void> {
  const admin = new Kafka({ clientId: 'shop', brokers: KAFKA_BROKERS.split(',') }).admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] })
  await admin.disconnect()
}
