import {
  type Assigner,
  AssignerProtocol,
  type GroupMember,
  type GroupMemberAssignment,
} from 'kafkajs'
import type { KafkajsCluster } from './kafkajs-cluster.ts'

/**
 * Deals the partitions of each topic out among the members that subscribed to it, so that each has about as many.
 * kafkajs's own gives every member of the leader's topics, also those that it did not ask for, which then nobody reads,
 * and leaves out the topics that only others subscribed to. Name and format are the same, so that both get along.
 */
export function topicAssigner(cluster: KafkajsCluster): Assigner {
  const name = 'RoundRobinAssigner'
  const version = 0
  return {
    name,
    version,
    protocol: ({ topics }) => ({
      name,
      metadata: AssignerProtocol.MemberMetadata.encode({
        version,
        topics: [...topics],
        userData: Buffer.alloc(0),
      }),
    }),
    assign: async ({ members }) => {
      const subscriptions = subscriptionsOf(members)
      const topics = [...new Set([...subscriptions.values()].flatMap(each => [...each]))].sort()
      const partitions = new Map<string, number[]>()
      for (const topic of topics) partitions.set(topic, await partitionsOf(cluster, topic))
      return encode(deal(subscriptions, partitions), version)
    },
  }
}

/** @returns member to topic to partitions, of every member */
export function deal(
  subscriptions: ReadonlyMap<string, ReadonlySet<string>>,
  partitions: ReadonlyMap<string, readonly number[]>,
): Map<string, Map<string, number[]>> {
  const members = [...subscriptions.keys()].sort()
  const dealt = new Map(members.map(member => [member, new Map<string, number[]>()]))
  const counts = new Map(members.map(member => [member, 0]))
  // Topics that few can read first: those who can read many fill up the rest.
  const readers = (topic: string) => members.filter(each => subscriptions.get(each)?.has(topic))
  const order = [...partitions.keys()].sort(
    (a, b) => readers(a).length - readers(b).length || (a < b ? -1 : 1),
  )
  for (const topic of order) {
    const able = readers(topic)
    for (const partition of partitions.get(topic) ?? []) {
      const count = (member: string) => counts.get(member) ?? 0
      const [first, ...others] = able
      if (first === undefined) break
      const member = others.reduce(
        (least, each) => (count(each) < count(least) ? each : least),
        first,
      )
      counts.set(member, count(member) + 1)
      const topics = dealt.get(member)
      topics?.set(topic, [...(topics.get(topic) ?? []), partition])
    }
  }
  return dealt
}

function subscriptionsOf(members: readonly GroupMember[]): Map<string, Set<string>> {
  return new Map(
    members.map(({ memberId, memberMetadata }) => {
      const topics = AssignerProtocol.MemberMetadata.decode(memberMetadata)?.topics ?? []
      return [memberId, new Set(topics)]
    }),
  )
}

/** The leader's own metadata has only the topics that it subscribed to itself. */
async function partitionsOf(cluster: KafkajsCluster, topic: string): Promise<number[]> {
  const known = cluster.findTopicPartitionMetadata(topic)
  const found = known.length > 0 ? known : await lookUp(cluster, topic)
  return found.map(({ partitionId }) => partitionId).sort((a, b) => a - b)
}

async function lookUp(
  cluster: KafkajsCluster,
  topic: string,
): Promise<readonly { readonly partitionId: number }[]> {
  const [nodeId] = cluster.getNodeIds()
  if (nodeId === undefined) return []
  const broker = await cluster.findBroker({ nodeId })
  try {
    const { topicMetadata } = await broker.metadata([topic])
    return topicMetadata.find(each => each.topic === topic)?.partitionMetadata ?? []
  } catch (error) {
    // It was deleted: that is for those who subscribed to it to find out.
    if ((error as { type?: unknown }).type === 'UNKNOWN_TOPIC_OR_PARTITION') return []
    throw error
  }
}

function encode(
  dealt: ReadonlyMap<string, ReadonlyMap<string, number[]>>,
  version: number,
): GroupMemberAssignment[] {
  return [...dealt].map(([memberId, topics]) => ({
    memberId,
    memberAssignment: AssignerProtocol.MemberAssignment.encode({
      version,
      assignment: Object.fromEntries(topics),
      userData: Buffer.alloc(0),
    }),
  }))
}
