import type { TestContext } from 'node:test'
import { type BusSettings, createBus } from '../../src/consumer/index.ts'
import type { Tx } from '../../src/consumer/tx.ts'
import { openTransactionPool } from '../../src/postgres/transaction-pool.ts'
import type { BusUnderTest, RawRecord } from '../contract/bus-rig.ts'
import { cleanup } from './cleanup.ts'
import { applyConsumerSchema } from './consumer-schema.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { createTopic, openKafka } from './kafka.ts'
import { kafkaBrokers, uniqueName } from './parts.ts'
import { startRelay } from './relay.ts'

export interface KafkaBusUnderTest extends BusUnderTest {
  readonly database: TestDatabase
  /** Of this test alone: other tests' control events are none of its business. */
  readonly controlTopic: string
}

/** A bus on a database of its own, with a relay for what is published. */
export async function openKafkaBus(
  t: TestContext,
  settings: Partial<BusSettings> = {},
): Promise<KafkaBusUnderTest> {
  const database = await createDatabase(t)
  await applyConsumerSchema(database.sql)
  const controlTopic = await createTopic(t, { name: uniqueName(t, 60) })
  await startRelay(t, database.url)
  const pool = openTransactionPool({
    url: database.url,
    applicationName: 'sluice test',
    connectionsMax: 2,
    statementTimeoutMs: 10_000,
    idleInTransactionTimeoutMs: 10_000,
  })
  cleanup(t, () => pool.stop())
  const producer = openKafka().producer()
  await producer.connect()
  cleanup(t, () => producer.disconnect())
  return {
    bus: createBus({
      databaseUrl: database.url,
      kafka: { brokers: kafkaBrokers(), clientId: 'sluice-test' },
      controlTopic,
      ...settings,
    }),
    database,
    controlTopic,
    transaction: <T>(work: (tx: Tx) => Promise<T>) => pool.transaction(work),
    createTopic: () => createTopic(t),
    send: async ({ topic, key, value, headers }: RawRecord) => {
      await producer.send({ topic, messages: [{ key, value, headers: { ...headers } }] })
    },
    deadLetters: group => database.sql<{ messageId: string; attempts: number }[]>`
      select message_id as "messageId", attempts from waiting_room.tasks
      where group_id = ${group} and state = 'dead' order by id`,
  }
}
