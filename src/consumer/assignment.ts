import { setMaxListeners } from 'node:events'
import type { EngineLimits } from './engine-limits.ts'
import { PartitionWork } from './partition-work.ts'
import type { Position, TopicPartition } from './record-source.ts'

/** The partitions that the member has from one join to the next. */
export class Assignment {
  readonly epoch: number
  readonly partitions: readonly PartitionWork[]
  /** It is being given up: nothing begins any more. */
  ending = false
  readonly #byName = new Map<string, PartitionWork>()
  readonly #abandon = new AbortController()

  constructor(
    positions: readonly Position[],
    epoch: number,
    { order, limits }: { order: 'key' | 'partition' | 'none'; limits: EngineLimits },
  ) {
    this.epoch = epoch
    // Each handler that is in work listens to it.
    setMaxListeners(0, this.#abandon.signal)
    const share = Math.floor(limits.queuesBytesMax / Math.max(positions.length, 1))
    const queue = {
      recordsMax: limits.queueRecordsMax,
      bytesMax: Math.min(limits.queueBytesMax, Math.max(share, 2 ** 20)),
    }
    const abandon = this.#abandon.signal
    this.partitions = positions.map(
      position =>
        new PartitionWork({ position, limits: queue, order, abandon, roomMs: limits.roomMs }),
    )
    for (const work of this.partitions) this.#byName.set(nameOf(work), work)
  }

  of(partition: TopicPartition): PartitionWork | undefined {
    return this.#byName.get(nameOf(partition))
  }

  /** Handlers are to leave. */
  abandon(): void {
    this.#abandon.abort()
  }

  drop(): void {
    for (const work of this.partitions) work.drop()
  }
}

/** A slash is no part of a topic's name. */
function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}
