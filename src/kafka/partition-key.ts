import type { TopicPartition } from '../consumer/record-source.ts'

/** Names a partition in maps; a topic's name has no `/`. */
export function partitionKey({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}
