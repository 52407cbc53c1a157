import type { CommitOffset, TopicPartition } from '../consumer/record-source.ts'
import { pause } from '../internal/pause.ts'
import type { Assignment } from './kafkajs-assignment.ts'
import type { KafkajsCluster, KafkajsOffsets, Membership } from './kafkajs-cluster.ts'
import { partitionKey } from './partition-key.ts'

const LOOK_UP_TRIES = 20
const LOOK_UP_PAUSE_MS = 250

export interface PositionRules {
  readonly cluster: KafkajsCluster
  readonly group: string
  readonly from: 'earliest' | 'latest'
  /** Partitions of each topic when the source was started; those that came later are read from their beginning. */
  readonly partitionCounts: ReadonlyMap<string, number>
  /** Commits where a partition begins. */
  readonly pin: (assignment: Assignment, offsets: readonly CommitOffset[]) => Promise<void>
}

/**
 * Finds out where each partition of an assignment goes on; until it ends, at most, since leaders may be moving.
 *
 * With `latest` the beginning is committed at once: whoever looks up the end again, after a rebalance or a restart
 * before the first commit, would leave out what has come meanwhile.
 */
export async function settlePositions(assignment: Assignment, rules: PositionRules): Promise<void> {
  const { signal } = assignment.ending
  for (let tries = 1; ; tries++) {
    try {
      await lookUp(assignment, rules)
      return
    } catch (error) {
      if (signal.aborted) return
      if (tries === LOOK_UP_TRIES) throw error
      await pause(LOOK_UP_PAUSE_MS, signal)
      await rules.cluster.refreshMetadata().catch(() => {})
    }
  }
}

async function lookUp(assignment: Assignment, rules: PositionRules): Promise<void> {
  const { cluster, group, from, partitionCounts, pin } = rules
  const committed = await committedOffsets(assignment.membership, group, assignment.partitions)
  const fresh = assignment.partitions.filter(each => !committed.has(partitionKey(each)))
  const isLater = ({ topic, partition }: TopicPartition) =>
    partition >= (partitionCounts.get(topic) ?? Number.POSITIVE_INFINITY)
  const whole = fresh.filter(each => from === 'earliest' || isLater(each))
  const tail = fresh.filter(each => !whole.includes(each))
  const firsts = await edgeOffsets(cluster, whole, 'earliest')
  const ends = await edgeOffsets(cluster, tail, 'latest')
  const offsetOf = (each: TopicPartition) => ends.get(partitionKey(each)) ?? 0n
  if (tail.length > 0) {
    await pin(
      assignment,
      tail.map(each => ({ ...each, offset: offsetOf(each) })),
    )
  }
  for (const [key, reading] of assignment.readings) {
    reading.committed = committed.get(key) ?? null
    reading.floor = committed.get(key) ?? ends.get(key) ?? null
    reading.next = reading.committed ?? firsts.get(key) ?? ends.get(key) ?? 0n
  }
}

/** The group's committed offsets by partition key; a partition without one is left out. */
export async function committedOffsets(
  { coordinator }: Membership,
  groupId: string,
  partitions: readonly TopicPartition[],
): Promise<Map<string, bigint>> {
  if (partitions.length === 0) return new Map()
  const topics = byTopic(partitions, ({ partition }) => ({ partition }))
  const { responses } = await coordinator.offsetFetch({ groupId, topics })
  return offsetsOf(responses)
}

/** First offsets that are kept, or the ends, by partition key. Rejects when one of them is not told. */
export async function edgeOffsets(
  cluster: KafkajsCluster,
  partitions: readonly TopicPartition[],
  edge: 'earliest' | 'latest',
): Promise<Map<string, bigint>> {
  if (partitions.length === 0) return new Map()
  const fromBeginning = edge === 'earliest'
  const topics = byTopic(partitions, ({ partition }) => ({ partition }))
  const asked = topics.map(each => ({ ...each, fromBeginning }))
  const offsets = offsetsOf(await cluster.fetchTopicsOffset(asked))
  const silent = partitions.find(each => !offsets.has(partitionKey(each)))
  if (silent) throw new Error(`the broker tells no offset of ${partitionKey(silent)}`)
  return offsets
}

export function byTopic<P extends TopicPartition, T>(
  partitions: readonly P[],
  part: (partition: P) => T,
): { topic: string; partitions: T[] }[] {
  const topics = new Map<string, T[]>()
  for (const each of partitions) {
    const known = topics.get(each.topic)
    if (known) known.push(part(each))
    else topics.set(each.topic, [part(each)])
  }
  return [...topics].map(([topic, parts]) => ({ topic, partitions: parts }))
}

function offsetsOf(topics: readonly KafkajsOffsets[]): Map<string, bigint> {
  const offsets = new Map<string, bigint>()
  for (const { topic, partitions } of topics) {
    for (const { partition, offset } of partitions) {
      // Below zero: there is none, or one of kafkajs's marks for "earliest" and "latest".
      if (BigInt(offset) >= 0n) offsets.set(partitionKey({ topic, partition }), BigInt(offset))
    }
  }
  return offsets
}
