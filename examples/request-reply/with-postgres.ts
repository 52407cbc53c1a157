// DATABASE_URL=… KAFKA_BROKERS=… node --import tsx examples/request-reply/with-postgres.ts
import assert from 'node:assert/strict'
import postgres from 'postgres'
import { createBus } from '../../src/consumer/index.ts' // 'sluice-outbox/consumer' in your project
import { createOutbox, migrate } from '../../src/index.ts' // 'sluice-outbox' in your project
import { AirCoreFrame, Correspondent, publisher, subscribeFrames } from '../../src/pubsub/index.ts' // 'sluice-outbox/pubsub' in your project
import { settings } from './settings.ts'

const { DATABASE_URL = '' } = process.env
const TIMEOUT_MS = 20_000

const sql = postgres(DATABASE_URL, { max: 2, onnotice: () => {} })
await migrate({ databaseUrl: DATABASE_URL, schemas: ['outbox', 'consumer'] })
await sql`drop schema if exists bookings cascade`
await sql`create schema bookings`
await sql`create table bookings.seats (seat serial primary key, request uuid not null unique)`
// Makes the topics that are missing.
await using topics = publisher.create(settings)
await topics.connect()

// In production: `sluice run`, beside the application. Here it runs within it.
const outbox = createOutbox({ config: { databaseUrl: DATABASE_URL, pollMs: 20 } })
await outbox.start()
const { brokers } = settings.connection
const bus = createBus({ databaseUrl: DATABASE_URL, kafka: { brokers }, controlTopic: null })
await subscribeFrames(
  bus,
  {
    group: settings.groups.worker,
    topics: [settings.topics.worker],
    reply_topics: [settings.topics.reply_to],
  },
  {
    // The seat and the reply are committed together.
    handle: async (request, context) => {
      const [row] = await context.sql`
        insert into bookings.seats (request) values (${request.id}) returning seat`
      return `seat ${row?.seat}`
    },
    // Asked again, because the first reply was not seen: what was booked then.
    handled_before: async (request, context) => {
      const [row] = await context.sql`
        select seat from bookings.seats where request = ${request.id}`
      return `seat ${row?.seat}, as before`
    },
  },
)

await using correspondent = Correspondent.create(settings)
await correspondent.connect()
const request = AirCoreFrame.request({ type: 'BookSeat' })
const ask = async (frame: AirCoreFrame) => {
  const reply = await correspondent.request(frame, { timeoutMs: TIMEOUT_MS })
  process.stdout.write(`${reply.text()}\n`)
}
await ask(request)
await ask(request)
await ask(AirCoreFrame.request({ type: 'BookSeat' }))

await bus.close()
await outbox.stop()
const [row] = await sql<{ seats: number }[]>`select count(*)::int as seats from bookings.seats`
assert.equal(row?.seats, 2)
await sql.end()
process.stdout.write('two seats are booked, by three requests\n')
