import { randomUUID } from 'node:crypto'
import { Kafka, logLevel, type Message } from 'kafkajs'
import type { KafkajsSourceOptions } from '../../src/kafka/kafkajs-settings.ts'
import { KafkajsSource } from '../../src/kafka/kafkajs-source.ts'
import type { Log } from '../../src/telemetry/log.ts'
import { cleanup } from './cleanup.ts'
import { openKafka } from './kafka.ts'
import { kafkaBrokers, type Scope } from './parts.ts'
import { RecordingSink } from './recording-sink.ts'

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} }

export type SourceChoice = Partial<KafkajsSourceOptions> & {
  readonly brokers?: readonly string[]
}

export interface StartedSource {
  readonly source: KafkajsSource
  readonly sink: RecordingSink
}

/** A source that is stopped after the test; the session is as short as brokers allow. */
export function newSource(t: Scope, choice: SourceChoice): KafkajsSource {
  const { brokers = kafkaBrokers(), ...options } = choice
  const source = new KafkajsSource({
    connection: { brokers, clientId: 'source-test' },
    group: `g-${randomUUID()}`,
    topics: [],
    from: 'earliest',
    missingTopic: 'fail',
    joinTimeoutMs: 30_000,
    log: SILENT,
    ...options,
    tuning: {
      sessionTimeoutMs: 6_000,
      rebalanceTimeoutMs: 10_000,
      heartbeatIntervalMs: 200,
      maxWaitMs: 100,
      ...options.tuning,
    },
  })
  cleanup(t, () => source.stop(3_000))
  return source
}

export async function startSource(
  t: Scope,
  choice: SourceChoice,
  sink = new RecordingSink(),
): Promise<StartedSource> {
  const source = newSource(t, choice)
  await source.start(sink)
  return { source, sink }
}

/** @param brokers of another cluster than the test run's */
export async function send(
  topic: string,
  messages: readonly Message[],
  brokers: readonly string[] = kafkaBrokers(),
): Promise<void> {
  const kafka = new Kafka({
    brokers: [...brokers],
    clientId: 'source-test-writer',
    logLevel: logLevel.NOTHING,
  })
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    createPartitioner:
      () =>
      ({ message }) =>
        message.partition ?? 0,
  })
  await producer.connect()
  try {
    await producer.send({ topic, messages: [...messages] })
  } finally {
    await producer.disconnect()
  }
}

/** Records `first`, `first + 1`, … of one partition, whose values are their numbers. */
export async function sendNumbers(
  topic: string,
  count: number,
  { partition = 0, first = 0 } = {},
): Promise<void> {
  const messages = Array.from({ length: count }, (_, n) => ({
    partition,
    key: 'k',
    value: String(first + n),
  }))
  await send(topic, messages)
}

/** In one transaction, committed or aborted. */
export async function sendInTransaction(
  topic: string,
  messages: readonly Message[],
  outcome: 'commit' | 'abort',
): Promise<void> {
  const producer = openKafka().producer({
    transactionalId: randomUUID(),
    maxInFlightRequests: 1,
    idempotent: true,
    allowAutoTopicCreation: false,
  })
  await producer.connect()
  try {
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [...messages] })
    await transaction[outcome]()
  } finally {
    await producer.disconnect()
  }
}

/** What the group has committed, by partition; a partition without an offset is left out. */
export async function committed(group: string, topic: string): Promise<Record<number, string>> {
  const admin = openKafka().admin()
  await admin.connect()
  try {
    const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    const offsets = found?.partitions.filter(({ offset }) => Number(offset) >= 0) ?? []
    return Object.fromEntries(offsets.map(({ partition, offset }) => [partition, offset]))
  } finally {
    await admin.disconnect()
  }
}
