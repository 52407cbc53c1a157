/**
 * What a kafkajs 2.2.4 consumer does with its cluster, seen from inside: the assigner's factory is handed the object
 * itself, and each step towards the brokers goes through it. kafkajs tells of a rebalance only when it is over, resets
 * a position without asking, has the group rebalance when a leader moves, and repeats a commit under a later generation;
 * none of that can be met from outside.
 */
import { pause } from '../internal/pause.ts'

const COORDINATOR_TRIES = 20
const COORDINATOR_PAUSE_MS = 250
const MOVED_PAUSE_MS = 100

/** Another broker leads the partition now, or none does yet. */
const MOVED = new Set([
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
])

export interface KafkajsPartition {
  readonly partition: number
  readonly offset: string
}

export interface KafkajsOffsets {
  readonly topic: string
  readonly partitions: readonly KafkajsPartition[]
}

/** One broker's connection. */
export interface KafkajsBroker {
  readonly nodeId: number
  fetch(request: FetchRequest): Promise<{ readonly responses: readonly unknown[] }>
  joinGroup(
    request: JoinRequest,
  ): Promise<{ readonly generationId: number; readonly memberId: string }>
  heartbeat(request: GenerationRequest): Promise<unknown>
  offsetCommit(
    request: GenerationRequest & { readonly topics: readonly KafkajsOffsets[] },
  ): Promise<unknown>
  offsetFetch(request: {
    readonly groupId: string
    readonly topics: readonly {
      readonly topic: string
      readonly partitions: readonly { readonly partition: number }[]
    }[]
  }): Promise<{ readonly responses: readonly KafkajsOffsets[] }>
  metadata(topics: readonly string[]): Promise<{
    readonly topicMetadata: readonly {
      readonly topic: string
      readonly partitionMetadata: readonly { readonly partitionId: number }[]
    }[]
  }>
}

interface JoinRequest {
  /** '': the group does not know it yet. */
  readonly memberId: string
}

interface GenerationRequest {
  readonly groupId: string
  readonly groupGenerationId: number
  readonly memberId: string
}

interface FetchRequest {
  readonly topics: readonly {
    readonly topic: string
    readonly partitions: readonly { readonly partition: number; readonly fetchOffset: string }[]
  }[]
}

export interface KafkajsCluster {
  getNodeIds(): readonly string[]
  findBroker(node: { readonly nodeId: number | string }): Promise<KafkajsBroker>
  findGroupCoordinator(group: { readonly groupId: string }): Promise<KafkajsBroker>
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number }[]
  fetchTopicsOffset(
    topics: readonly {
      readonly topic: string
      readonly partitions: readonly { readonly partition: number }[]
      readonly fromBeginning: boolean
    }[],
  ): Promise<readonly KafkajsOffsets[]>
  refreshMetadata(): Promise<void>
  disconnect(): Promise<void>
}

/** What the group knows a member by, from one join to the next. */
export interface Membership {
  readonly coordinator: KafkajsBroker
  readonly generationId: number
  readonly memberId: string
}

/** By what id the group knows the member, from one client to the next; null: by none. */
export interface MemberIdentity {
  memberId: string | null
}

export interface ClusterHooks {
  readonly identity: MemberIdentity
  /** Aborted when the client is closed. */
  readonly closed: AbortSignal
  /** Awaited before each JoinGroup; a rejection crashes the consumer. */
  beforeJoin(): Promise<void>
  /** The group has answered a JoinGroup. */
  membership(membership: Membership): void
  /** A heartbeat or commit of this generation was refused; `type` is Kafka's name of the reason. */
  refused(type: string, generationId: number): void
  /** True: the position was moved, and kafkajs need not know. */
  outOfRange(topic: string, partition: number, position: bigint): Promise<boolean>
}

/** Puts the hooks into the cluster object of one consumer. */
export function hookCluster(cluster: KafkajsCluster, hooks: ClusterHooks): void {
  const hooked = new WeakSet<KafkajsBroker>()
  const findBroker = cluster.findBroker.bind(cluster)
  cluster.findBroker = async node => {
    const broker = await findBroker(node)
    if (!hooked.has(broker)) {
      hooked.add(broker)
      hookBroker(broker, cluster, hooks)
    }
    return broker
  }
  const findGroupCoordinator = cluster.findGroupCoordinator.bind(cluster)
  cluster.findGroupCoordinator = async group => {
    await hooks.beforeJoin()
    // A coordinator that moves, or is made with the first group, is not there for a while.
    for (let tries = 1; ; tries++) {
      try {
        return await findGroupCoordinator(group)
      } catch (error) {
        if (tries === COORDINATOR_TRIES || hooks.closed.aborted) throw error
        await pause(COORDINATOR_PAUSE_MS, hooks.closed)
      }
    }
  }
  // kafkajs awaits it where nobody awaits kafkajs: a rejection would end the process.
  const disconnect = cluster.disconnect.bind(cluster)
  cluster.disconnect = () => disconnect().catch(() => {})
}

function hookBroker(broker: KafkajsBroker, cluster: KafkajsCluster, hooks: ClusterHooks): void {
  const fetch = broker.fetch.bind(broker)
  broker.fetch = async request => {
    try {
      return await fetch(request)
    } catch (error) {
      const { name, type } = error as { name?: unknown; type?: unknown }
      // kafkajs would have the whole group rebalance.
      const leads = MOVED.has(String(type)) && (await refresh(cluster, hooks.closed))
      const moves = name === 'KafkaJSOffsetOutOfRange' && (await movedInto(request, error, hooks))
      if (leads || moves) return { responses: [] }
      throw error
    }
  }
  const joinGroup = broker.joinGroup.bind(broker)
  broker.joinGroup = async request => {
    const joined = await joinedAgain(request, joinGroup, hooks.identity)
    const { generationId, memberId } = joined
    hooks.identity.memberId = memberId
    hooks.membership({ coordinator: broker, generationId, memberId })
    return joined
  }
  const heartbeat = broker.heartbeat.bind(broker)
  broker.heartbeat = request => heartbeat(request).catch(error => refuse(error, request, hooks))
  const offsetCommit = broker.offsetCommit.bind(broker)
  broker.offsetCommit = request =>
    offsetCommit(request).catch(error => refuse(error, request, hooks))
}

/**
 * A fresh client joins as the member that its predecessor was. As a new one, it and the whole group would wait until
 * the session of the old one is over: half a minute after each broker that was away for a second.
 */
async function joinedAgain(
  request: JoinRequest,
  joinGroup: KafkajsBroker['joinGroup'],
  identity: MemberIdentity,
) {
  const { memberId } = identity
  if (request.memberId !== '' || memberId === null) return joinGroup(request)
  try {
    return await joinGroup({ ...request, memberId })
  } catch (error) {
    if ((error as { type?: unknown }).type !== 'UNKNOWN_MEMBER_ID') throw error
    identity.memberId = null
    return joinGroup(request)
  }
}

async function refresh(cluster: KafkajsCluster, closed: AbortSignal): Promise<true> {
  await cluster.refreshMetadata()
  await pause(MOVED_PAUSE_MS, closed)
  return true
}

function refuse(error: unknown, request: GenerationRequest, hooks: ClusterHooks): never {
  const { type } = error as { type?: unknown }
  if (typeof type === 'string') hooks.refused(type, request.groupGenerationId)
  throw error
}

async function movedInto(
  { topics }: FetchRequest,
  error: unknown,
  hooks: ClusterHooks,
): Promise<boolean> {
  const { topic, partition } = error as { topic?: unknown; partition?: unknown }
  const asked = topics
    .filter(each => each.topic === topic)
    .flatMap(each => each.partitions)
    .find(each => each.partition === partition)
  if (asked === undefined) return false
  return hooks.outOfRange(String(topic), Number(partition), BigInt(asked.fetchOffset))
}
