import type { Kafka } from 'kafkajs'
import { SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import { openKafka } from '../kafka/connection.ts'
import { faultOfKafkajs } from '../kafka/kafkajs-fault.ts'
import { KafkajsSockets } from '../kafka/kafkajs-sockets.ts'
import { ensureTopics } from '../kafka/topic-presence.ts'
import type { config, TopicCreation } from './config.ts'

const REQUEST_TIMEOUT_MS = 10_000
const RETRY_PAUSE_MS = 200
const CLOSE_TIMEOUT_MS = 1_000

/**
 * Sees to it that both topics are there and led, and makes them when the config says how.
 * @throws SluiceError `options`: one is missing, or the brokers refuse for good; `broker`: not in time; the signal's reason
 */
export async function prepareTopics(
  settings: config,
  untilMs: number,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      await prepareOnce(settings, untilMs, signal)
      return
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof SluiceError && error.code === 'options') throw error
      const fault = faultOfKafkajs(error)
      if (fault.of === 'way' && fault.fault === 'producer') throw refused(fault.code, error)
      if (monotonicMs() + RETRY_PAUSE_MS >= untilMs) {
        throw new SluiceError('broker', 'the topics could not be looked up in time', {
          cause: error,
          retryable: true,
        })
      }
      await pause(RETRY_PAUSE_MS, signal)
    }
  }
}

/** The same settings will get the same answer. */
export function refused(code: string, cause: unknown): SluiceError {
  return new SluiceError(
    'options',
    `the brokers refuse (${code}): check credentials, rights and the topics' names`,
    { cause },
  )
}

export function missing(topic: string): SluiceError {
  return new SluiceError(
    'options',
    `topic ${topic} does not exist: create it, or let create_topics say how many partitions and replicas it gets`,
    { details: { topic } },
  )
}

async function prepareOnce(settings: config, untilMs: number, signal: AbortSignal): Promise<void> {
  const sockets = new KafkajsSockets()
  const kafka = openKafka(settings.connection, REQUEST_TIMEOUT_MS, sockets.factory)
  const limit = new AbortController()
  const ended = AbortSignal.any([signal, limit.signal])
  const work = async () => {
    for (const topic of [settings.topics.worker, settings.topics.reply_to]) {
      await prepareTopic(kafka, topic, settings.create_topics, ended)
    }
  }
  try {
    const late = () => new Error('the brokers did not answer in time')
    await withDeadline(work(), untilMs - monotonicMs(), late)
  } finally {
    limit.abort()
    sockets.cut()
  }
}

async function prepareTopic(
  kafka: Kafka,
  topic: string,
  creation: TopicCreation | null,
  signal: AbortSignal,
): Promise<void> {
  try {
    await ensureTopics(kafka, [topic], 'fail', signal)
  } catch (error) {
    const lacks = error instanceof SluiceError && error.details.topic === topic
    if (!lacks) throw error
    if (creation === null) throw missing(topic)
    await create(kafka, topic, creation)
    // Not every broker knows at once what was just made.
    await ensureTopics(kafka, [topic], 'create', signal)
  }
}

async function create(kafka: Kafka, topic: string, creation: TopicCreation): Promise<void> {
  const { partitions: numPartitions, replication_factor: replicationFactor } = creation
  const admin = kafka.admin()
  await admin.connect()
  // One that another has made meanwhile is no error.
  await admin.createTopics({
    topics: [{ topic, numPartitions, replicationFactor }],
    waitForLeaders: false,
  })
  const late = () => new Error('not closed in time')
  await withDeadline(admin.disconnect(), CLOSE_TIMEOUT_MS, late).catch(() => {})
}
