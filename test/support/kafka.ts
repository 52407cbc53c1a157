import { randomUUID } from 'node:crypto'
import { type Admin, Kafka, type KafkaMessage, logLevel } from 'kafkajs'
import { withDeadline } from '../../src/internal/deadline.ts'
import { cleanup } from './cleanup.ts'
import { kafkaBrokers, type Scope, uniqueName } from './parts.ts'
import { until } from './until.ts'

/** Kafka's limit for a topic's name is 249; shorter ones are easier to read. */
const NAME_LENGTH_MAX = 80
const TOPIC_DEADLINE_MS = 30_000
const READ_DEADLINE_MS = 60_000
const CLOSE_DEADLINE_MS = 5_000

export interface TopicOptions {
  /** Default 1. */
  readonly partitions?: number
  readonly config?: Readonly<Record<string, string>>
  /** Default: unique, derived from the test's name. */
  readonly name?: string
}

/** A record as it lies in Kafka. */
export interface TopicRecord {
  readonly partition: number
  readonly offset: bigint
  readonly key: Buffer | null
  /** Null: a tombstone. */
  readonly value: Buffer | null
  /** Header values as UTF-8 text. */
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds since 1970. */
  readonly timestamp: number
}

/** Creates a topic that every partition of can be written to at once; deleted after the test. Returns its name. */
export async function createTopic(t: Scope, options: TopicOptions = {}): Promise<string> {
  const { partitions = 1, config = {}, name = uniqueName(t, NAME_LENGTH_MAX) } = options
  const configEntries = Object.entries(config).map(([key, value]) => ({ name: key, value }))
  await withAdmin(async admin => {
    const topic = { topic: name, numPartitions: partitions, configEntries }
    await admin.createTopics({ topics: [topic], waitForLeaders: false, timeout: 10_000 })
    cleanup(t, () => withAdmin(each => each.deleteTopics({ topics: [name], timeout: 10_000 })))
    // The broker learns of a topic a moment after the controller has answered.
    await until(async () => (await admin.fetchTopicOffsets(name)).length === partitions, {
      deadlineMs: TOPIC_DEADLINE_MS,
      what: `topic ${name} has ${partitions} partitions with leaders`,
    })
  })
  return name
}

/**
 * All records that the topic holds at the time of the call, sorted by partition and offset. Records of aborted
 * transactions are left out, and those of an open one make the call wait for its end.
 * @param from leaves out lower offsets, in every partition
 */
export async function readTopic(
  topic: string,
  { from = 0 }: { from?: number } = {},
): Promise<TopicRecord[]> {
  const ends = new Map<number, bigint>()
  await withAdmin(async admin => {
    for (const { partition, high, low } of await admin.fetchTopicOffsets(topic)) {
      const start = BigInt(Math.max(from, Number(low)))
      if (BigInt(high) > start) ends.set(partition, BigInt(high))
    }
  })
  const records = ends.size === 0 ? [] : await consume(topic, ends)
  return records
    .filter(record => record.offset >= from)
    .sort((a, b) => a.partition - b.partition || Number(a.offset - b.offset))
}

/** @param ends of each partition that is to be read, the offset behind its last record */
async function consume(topic: string, ends: ReadonlyMap<number, bigint>): Promise<TopicRecord[]> {
  const records = new Map<string, TopicRecord>()
  const missing = new Set(ends.keys())
  const consumer = openKafka().consumer({
    groupId: `read-${randomUUID()}`,
    retry: RETRY,
    allowAutoTopicCreation: false,
    maxWaitTimeInMs: 100,
  })
  const finished = new Promise<void>((settle, reject) => {
    // Told also of batches that hold nothing but marks of transactions.
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
      const end = ends.get(payload.partition)
      if (end !== undefined && BigInt(payload.lastOffset) + 1n >= end) {
        missing.delete(payload.partition)
      }
      if (missing.size === 0) settle()
    })
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      // A restart begins anew, which finds the same records.
      if (!payload.restart) reject(payload.error)
    })
  })
  const work = async () => {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        for (const message of batch.messages) {
          if (BigInt(message.offset) >= (ends.get(batch.partition) ?? 0n)) continue
          const place = `${batch.partition}:${message.offset}`
          records.set(place, toRecord(batch.partition, message))
        }
      },
    })
    await finished
  }
  try {
    const late = () =>
      new Error(`topic ${topic} was not read to its end within ${READ_DEADLINE_MS} ms`)
    await withDeadline(work(), READ_DEADLINE_MS, late)
  } finally {
    await closed(consumer.disconnect())
  }
  return [...records.values()]
}

function toRecord(partition: number, message: KafkaMessage): TopicRecord {
  const headers = Object.entries(message.headers ?? {}).map(([name, value]) => {
    if (Array.isArray(value)) throw new Error(`a record has more than one header ${name}`)
    return [name, String(value)]
  })
  return {
    partition,
    offset: BigInt(message.offset),
    key: message.key,
    value: message.value,
    headers: Object.fromEntries(headers),
    timestamp: Number(message.timestamp),
  }
}

async function withAdmin(work: (admin: Admin) => Promise<void>): Promise<void> {
  const admin = openKafka().admin({ retry: RETRY })
  try {
    await admin.connect()
    await work(admin)
  } finally {
    await closed(admin.disconnect())
  }
}

/** kafkajs waits without a limit for connections that do not answer. */
async function closed(disconnect: Promise<void>): Promise<void> {
  await withDeadline(disconnect, CLOSE_DEADLINE_MS, () => new Error('too slow')).catch(() => {})
}

const RETRY = { retries: 8, initialRetryTime: 50, maxRetryTime: 500, factor: 0.2, multiplier: 1.5 }

/** A client for tests: it retries for a few seconds and logs nothing. */
export function openKafka(): Kafka {
  return new Kafka({
    brokers: kafkaBrokers(),
    clientId: 'sluice-test-support',
    connectionTimeout: 5_000,
    authenticationTimeout: 5_000,
    requestTimeout: 15_000,
    enforceRequestTimeout: true,
    retry: RETRY,
    logLevel: logLevel.NOTHING,
  })
}
