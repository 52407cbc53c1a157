import type { Admin } from 'kafkajs'

export interface GroupOffset {
  readonly topic: string
  readonly partition: number
  readonly committed: number
}

/** What a group has committed; partitions without an offset are left out. */
export async function groupOffsets(
  admin: Admin,
  group: string,
  topics: readonly string[],
): Promise<GroupOffset[]> {
  const answers = await admin.fetchOffsets({ groupId: group, topics: [...topics] })
  return answers.flatMap(({ topic, partitions }) =>
    partitions
      .map(({ partition, offset }) => ({ topic, partition, committed: Number(offset) }))
      .filter(({ committed }) => committed >= 0),
  )
}
