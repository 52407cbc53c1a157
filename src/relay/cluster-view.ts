/** How many partitions a topic has, as one thread has learnt it. */
export interface PartitionCount {
  readonly topic: string
  readonly partitions: number
  /** On the monotonic clock that all threads share. */
  readonly learntAtMs: number
}

/** What is known of the cluster; plain data, handed from one thread to the others. */
export interface ClusterView {
  /** Kafka's own id of the cluster; null when nothing is known of it. */
  readonly clusterId: string | null
  readonly partitions: readonly PartitionCount[]
}

export const NOTHING_KNOWN: ClusterView = { clusterId: null, partitions: [] }

/**
 * Partitions are never taken from a topic, but brokers tell of a growth one after the other: for so long a lower count
 * is taken for an old one, later for a topic that was deleted and made anew.
 */
const BROKERS_AGREE_AFTER_MS = 5_000

/** Whether the second count replaces the first one that was learnt by another thread. */
export function supersedes(later: PartitionCount, known: PartitionCount): boolean {
  return (
    later.partitions >= known.partitions ||
    later.learntAtMs - known.learntAtMs >= BROKERS_AGREE_AFTER_MS
  )
}

/** The greatest count of each topic that any thread has reported. */
export class PartitionCounts {
  readonly #counts = new Map<string, PartitionCount>()

  note(reported: readonly PartitionCount[]): void {
    for (const count of reported) {
      const known = this.#counts.get(count.topic)
      if (known === undefined || supersedes(count, known)) this.#counts.set(count.topic, count)
    }
  }

  of(topics: Iterable<string>): PartitionCount[] {
    const found: PartitionCount[] = []
    for (const topic of topics) {
      const count = this.#counts.get(topic)
      if (count !== undefined) found.push(count)
    }
    return found
  }
}
