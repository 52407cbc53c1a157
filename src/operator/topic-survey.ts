import type { Admin } from 'kafkajs'
import type { KafkaConnection } from '../kafka/connection.ts'
import { openOperatorKafka, withAdmin } from './kafka-access.ts'

export interface PartitionFacts {
  readonly partition: number
  /** Broker id; null: no leader. */
  readonly leader: number | null
  readonly replicas: number
  readonly in_sync: number
  /** First offset that is kept, and the one behind the last; null when it could not be read. */
  readonly low: string | null
  readonly high: string | null
}

export interface KafkaTopicFacts {
  readonly topic: string
  readonly partitions: readonly PartitionFacts[]
  /** Sum of the distances from low to high; an upper bound of the records, as compaction leaves gaps. */
  readonly records: number | null
}

export interface KafkaTopicList {
  readonly topics: readonly KafkaTopicFacts[]
  /** More topics than `TOPICS_MAX`: give a name. */
  readonly left_out: number
}

/** Topics looked at by one call: each costs a request per leader. */
export const TOPICS_MAX = 200

/**
 * The topics with their partitions and offsets, by name; without Kafka's own unless they are named.
 * @param names null: all
 * @throws SluiceError `broker`, also when a named topic does not exist
 */
export async function surveyTopics(
  connection: KafkaConnection,
  names: readonly string[] | null,
): Promise<KafkaTopicList> {
  return withAdmin(openOperatorKafka(connection), 'reading the topics', async admin => {
    const all = names ?? (await admin.listTopics()).filter(name => !name.startsWith('__')).sort()
    const chosen = all.slice(0, TOPICS_MAX)
    const topics: KafkaTopicFacts[] = []
    for (const topic of chosen) topics.push(await surveyTopic(admin, topic))
    return { topics, left_out: all.length - chosen.length }
  })
}

async function surveyTopic(admin: Admin, topic: string): Promise<KafkaTopicFacts> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  const offsets = new Map<number, { low: string; high: string }>()
  const metadata = [...(topics[0]?.partitions ?? [])].sort((a, b) => a.partitionId - b.partitionId)
  // Without a leader there is nobody to ask, and asking would fail the others too.
  if (metadata.every(({ leader }) => leader >= 0)) {
    for (const each of await admin.fetchTopicOffsets(topic)) offsets.set(each.partition, each)
  }
  const partitions = metadata.map(({ partitionId, leader, replicas, isr }) => ({
    partition: partitionId,
    leader: leader >= 0 ? leader : null,
    replicas: replicas.length,
    in_sync: isr.length,
    low: offsets.get(partitionId)?.low ?? null,
    high: offsets.get(partitionId)?.high ?? null,
  }))
  const sizes = partitions.map(({ low, high }) =>
    low === null || high === null ? null : Number(BigInt(high) - BigInt(low)),
  )
  const records = sizes.includes(null) ? null : sizes.reduce<number>((sum, n) => sum + (n ?? 0), 0)
  return { topic, partitions, records }
}
