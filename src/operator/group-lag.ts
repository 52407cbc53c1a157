import { type Admin, AssignerProtocol, type GroupDescription } from 'kafkajs'
import { SluiceError } from '../errors.ts'
import type { KafkaConnection } from '../kafka/connection.ts'
import { faultOfKafkajs } from '../kafka/kafkajs-fault.ts'
import { openOperatorKafka, withAdmin } from './kafka-access.ts'

export interface PartitionLag {
  readonly topic: string
  readonly partition: number
  /** Offset of the next record to be handled; null: the group has committed none. */
  readonly committed: string | null
  /** Behind the last record; null when it could not be read. */
  readonly end: string | null
  /** An upper bound of the records, as transactions and compaction leave gaps; null: one of both is not known. */
  readonly lag: number | null
  /** Who reads it; null: nobody. */
  readonly member: GroupMemberFacts | null
}

export interface GroupMemberFacts {
  readonly id: string
  readonly client_id: string
  readonly host: string
}

export interface GroupLag {
  readonly group: string
  /** As Kafka names it: `Stable`, `Empty`, `PreparingRebalance`, … */
  readonly state: string
  readonly members: number
  /** Sum over the partitions where it is known. */
  readonly lag: number
  readonly partitions: readonly PartitionLag[]
}

export interface GroupLagList {
  readonly groups: readonly GroupLag[]
  /** More groups than `GROUPS_MAX`: give a name. */
  readonly left_out: number
}

/** Groups looked at by one call: each costs some requests. */
export const GROUPS_MAX = 200

type Ends = ReadonlyMap<number, string> | null

/**
 * How far consumer groups are behind, by name, with the partitions that they have committed or read.
 * @param names null: all
 * @throws SluiceError `broker`; `options`, when a named group does not exist
 */
export async function readGroupLag(
  connection: KafkaConnection,
  names: readonly string[] | null,
): Promise<GroupLagList> {
  return withAdmin(openOperatorKafka(connection), 'reading the groups', async admin => {
    const { groups } = await admin.listGroups()
    const known = groups.filter(
      each => each.protocolType === 'consumer' || each.protocolType === '',
    )
    const all = known.map(({ groupId }) => groupId).sort()
    const missing = names?.find(name => !all.includes(name))
    if (missing !== undefined) {
      throw new SluiceError('options', `there is no consumer group ${JSON.stringify(missing)}`)
    }
    const wanted = names === null ? all : [...new Set(names)]
    const chosen = wanted.slice(0, GROUPS_MAX)
    const ends = new Map<string, Ends>()
    const found: GroupLag[] = []
    for (const group of chosen) found.push(await lagOf(admin, group, ends))
    return { groups: found, left_out: wanted.length - chosen.length }
  })
}

/** @param ends what is known already, by topic; added to */
async function lagOf(admin: Admin, group: string, ends: Map<string, Ends>): Promise<GroupLag> {
  const described = (await admin.describeGroups([group])).groups[0]
  const readers = readersOf(described)
  const committed = new Map<string, ReadonlyMap<number, string>>()
  for (const { topic, partitions } of await admin.fetchOffsets({ groupId: group })) {
    const known = partitions.filter(({ offset }) => BigInt(offset) >= 0n)
    committed.set(topic, new Map(known.map(({ partition, offset }) => [partition, offset])))
  }
  const partitions: PartitionLag[] = []
  for (const topic of [...new Set([...committed.keys(), ...readers.keys()])].sort()) {
    if (!ends.has(topic)) ends.set(topic, await endsOf(admin, topic))
    const facts = { committed: committed.get(topic), readers: readers.get(topic) }
    partitions.push(...partitionsOf(topic, facts, ends.get(topic) ?? null))
  }
  return {
    group,
    state: described?.state ?? 'Unknown',
    members: described?.members.length ?? 0,
    lag: partitions.reduce((sum, { lag }) => sum + (lag ?? 0), 0),
    partitions,
  }
}

interface TopicFacts {
  readonly committed: ReadonlyMap<number, string> | undefined
  readonly readers: ReadonlyMap<number, GroupMemberFacts> | undefined
}

function partitionsOf(
  topic: string,
  { committed, readers }: TopicFacts,
  ends: Ends,
): PartitionLag[] {
  const numbers = new Set([...(committed?.keys() ?? []), ...(readers?.keys() ?? [])])
  return [...numbers]
    .sort((a, b) => a - b)
    .map(partition => {
      const done = committed?.get(partition) ?? null
      const end = ends?.get(partition) ?? null
      const lag = done === null || end === null ? null : Number(BigInt(end) - BigInt(done))
      const member = readers?.get(partition) ?? null
      return { topic, partition, committed: done, end, lag, member }
    })
}

/** Who reads what, by topic and partition. */
function readersOf(
  group: GroupDescription | undefined,
): Map<string, Map<number, GroupMemberFacts>> {
  const readers = new Map<string, Map<number, GroupMemberFacts>>()
  for (const { memberId, clientId, clientHost, memberAssignment } of group?.members ?? []) {
    const member = { id: memberId, client_id: clientId, host: clientHost.replace(/^\//, '') }
    for (const [topic, partitions] of Object.entries(assignmentOf(memberAssignment))) {
      const known = readers.get(topic) ?? new Map<number, GroupMemberFacts>()
      readers.set(topic, known)
      for (const partition of partitions) known.set(partition, member)
    }
  }
  return readers
}

/** While a group rebalances there is none; others than consumers write what they like. */
function assignmentOf(bytes: Buffer): Record<string, number[]> {
  try {
    return AssignerProtocol.MemberAssignment.decode(bytes)?.assignment ?? {}
  } catch {
    return {}
  }
}

/** null: the topic is gone, or a partition of it has no leader. */
async function endsOf(admin: Admin, topic: string): Promise<Ends> {
  try {
    const offsets = await admin.fetchTopicOffsets(topic)
    return new Map(offsets.map(({ partition, high }) => [partition, high]))
  } catch (error) {
    const fault = faultOfKafkajs(error)
    if (fault.of === 'way' && fault.scope === 'topic') return null
    throw error
  }
}
