import { randomBytes } from 'node:crypto'
import { type Admin, type IHeaders, Kafka, logLevel, type SASLOptions } from 'kafkajs'
import { SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import type { KafkaConnection } from '../kafka/connection.ts'

const CONNECT_MS = 5_000
const REQUEST_MS = 15_000
const CLOSE_MS = 5_000

/**
 * A kafkajs client with retries of its own, as an application has. Every field of `retry` is given, because kafkajs
 * fills gaps with other numbers when NODE_ENV is `test`.
 */
export function openKafka(connection: KafkaConnection): Kafka {
  const { brokers, clientId, sasl, tls } = connection
  const { insecure, ...pem } = tls ?? {}
  return new Kafka({
    brokers: [...brokers],
    clientId,
    connectionTimeout: CONNECT_MS,
    authenticationTimeout: CONNECT_MS,
    requestTimeout: REQUEST_MS,
    enforceRequestTimeout: true,
    retry: {
      retries: 8,
      initialRetryTime: 200,
      maxRetryTime: 2_000,
      factor: 0.2,
      multiplier: 2,
      restartOnFailure: async () => true,
    },
    logLevel: logLevel.NOTHING,
    ...(sasl ? { sasl: { ...sasl } as SASLOptions } : {}),
    ...(tls ? { ssl: { ...pem, rejectUnauthorized: !insecure } } : {}),
  })
}

/** A name that no earlier run has used. */
export function freshName(prefix: string): string {
  return `${prefix}-${randomBytes(4).toString('hex')}`
}

/** Creates topics and waits until every partition has a leader. */
export async function createTopics(
  admin: Admin,
  topics: readonly string[],
  partitions: number,
): Promise<void> {
  await admin.createTopics({
    topics: topics.map(topic => ({ topic, numPartitions: partitions })),
    waitForLeaders: true,
    timeout: REQUEST_MS,
  })
}

/** Number of records in each partition of a topic that starts at offset 0, by partition. */
export async function endOffsets(admin: Admin, topic: string): Promise<Map<number, number>> {
  const offsets = await admin.fetchTopicOffsets(topic)
  return new Map(offsets.map(({ partition, high }) => [partition, Number(high)]))
}

/** All records of the topics together. */
export async function countRecords(admin: Admin, topics: readonly string[]): Promise<number> {
  const ends = await Promise.all(topics.map(topic => endOffsets(admin, topic)))
  return ends.flatMap(end => [...end.values()]).reduce((sum, high) => sum + high, 0)
}

/** Headers as text; a header given twice is joined by a line break. */
export function headersAsText(headers: IHeaders | undefined): Record<string, string> {
  const text: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers ?? {})) {
    const values = Array.isArray(value) ? value : [value]
    text[name] = values.map(v => (v === undefined ? '' : v.toString())).join('\n')
  }
  return text
}

/** Closes a client; kafkajs can wait for ever for a broker that is gone. Never rejects. */
export async function disconnect(client: { disconnect(): Promise<void> }): Promise<void> {
  const late = () => new SluiceError('broker', `Kafka client not closed within ${CLOSE_MS} ms`)
  await withDeadline(client.disconnect(), CLOSE_MS, late).catch(() => {})
}
