import type { Admin, Kafka } from 'kafkajs'
import { SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { pause } from '../internal/pause.ts'
import { faultOfKafkajs } from './kafkajs-fault.ts'

const POLL_MS = 100
const CLOSE_TIMEOUT_MS = 1_000

/**
 * Sees to it that the topics exist and each of their partitions has a leader.
 * @param signal aborted: gives up
 * @throws SluiceError `options`, when one is missing or its name is no topic's; else what kafkajs throws
 */
export async function ensureTopics(
  kafka: Kafka,
  topics: readonly string[],
  missing: 'fail' | 'create',
  signal: AbortSignal,
): Promise<void> {
  const admin = kafka.admin()
  try {
    await admin.connect()
    for (const topic of topics) {
      let found = await presence(admin, topic)
      if (found === 'missing') {
        if (missing === 'fail') throw missingTopic(topic)
        await create(admin, topic)
      }
      while (found !== 'ready') {
        signal.throwIfAborted()
        await pause(POLL_MS, signal)
        found = await presence(admin, topic)
      }
    }
  } finally {
    const late = () => new Error('not closed in time')
    await withDeadline(admin.disconnect(), CLOSE_TIMEOUT_MS, late).catch(() => {})
  }
}

function missingTopic(topic: string): SluiceError {
  return new SluiceError(
    'options',
    `topic ${topic} does not exist: create it, or let missingTopic be 'create'`,
    { details: { topic } },
  )
}

async function create(admin: Admin, topic: string): Promise<void> {
  await admin.createTopics({
    topics: [{ topic, numPartitions: -1, replicationFactor: -1 }],
    waitForLeaders: false,
  })
}

/** Asks for one topic alone: a missing one fails the whole request that it is in. */
async function presence(admin: Admin, topic: string): Promise<'ready' | 'leaderless' | 'missing'> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const partitions = topics[0]?.partitions ?? []
    return partitions.length > 0 && partitions.every(({ leader }) => leader >= 0)
      ? 'ready'
      : 'leaderless'
  } catch (error) {
    const { code, message } = faultOfKafkajs(error)
    if (code === 'UNKNOWN_TOPIC_OR_PARTITION') return 'missing'
    if (code === 'LEADER_NOT_AVAILABLE') return 'leaderless'
    if (code === 'invalid_topic') {
      throw new SluiceError('options', `${JSON.stringify(topic)} is no topic's name: ${message}`)
    }
    throw error
  }
}
