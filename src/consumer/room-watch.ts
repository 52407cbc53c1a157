import type { Delivery, DeliveryStore } from './delivery-store.ts'
import type { PartitionWork } from './partition-work.ts'

export interface RoomWatchParts {
  readonly store: Pick<DeliveryStore, 'full'>
  /** The partitions of now. */
  readonly partitions: () => Iterable<PartitionWork>
  /** A partition has become full, or has room again. */
  readonly onChange: () => void
  readonly failed: (error: unknown) => void
  readonly everyMs: number
}

/** Parked records after which the room is looked at, however little time has passed. */
const LOOK_AFTER_RECORDS = 100

/** Whether the waiting room has room for what comes. It is asked now and then only, so it may grow a little too much. */
export class RoomWatch {
  readonly #parts: RoomWatchParts
  #lookedMs = Number.NEGATIVE_INFINITY
  #parked = 0
  #timer: NodeJS.Timeout | null = null
  #stopped = false

  constructor(parts: RoomWatchParts) {
    this.#parts = parts
  }

  /** A record of the partition went into the waiting room. Never rejects. */
  async noteParked(work: PartitionWork, delivery: Delivery): Promise<void> {
    this.#parked++
    const recent = performance.now() - this.#lookedMs < this.#parts.everyMs
    if (recent && this.#parked < LOOK_AFTER_RECORDS) return
    this.#lookedMs = performance.now()
    this.#parked = 0
    if (!(await this.#isFull([delivery]))) return
    work.full = [delivery]
    this.#arm()
    this.#parts.onChange()
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #arm(): void {
    if (!this.#stopped) this.#timer ??= setTimeout(() => void this.#look(), this.#parts.everyMs)
  }

  async #look(): Promise<void> {
    this.#timer = null
    for (const work of this.#parts.partitions()) {
      if (work.full !== null && !(await this.#isFull(work.full))) work.full = null
    }
    for (const work of this.#parts.partitions()) if (work.full !== null) this.#arm()
    if (!this.#stopped) this.#parts.onChange()
  }

  /** As long as nobody knows it counts as full: what is full stays so, and a new one is asked again soon. */
  async #isFull(deliveries: readonly Delivery[]): Promise<boolean> {
    try {
      return await this.#parts.store.full(deliveries)
    } catch (error) {
      this.#parts.failed(error)
      return true
    }
  }
}
