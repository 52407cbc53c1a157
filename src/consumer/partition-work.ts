import { pause } from '../internal/pause.ts'
import type { Delivery } from './delivery-store.ts'
import { chainOf } from './key-order.ts'
import type { Committing } from './offset-commits.ts'
import { PartitionQueue, type QueuedRecord, type QueueLimits } from './partition-queue.ts'
import type { Position, RecordBatch, TopicPartition } from './record-source.ts'
import { Watermark } from './watermark.ts'

/** Starts in a row at one offset that look as if a record killed the process. */
export const STARTS_SUSPECT = 3
/** Records handled one at a time, before a suspicion is given up. */
const CAREFUL_RECORDS = 100

export interface PartitionWorkOptions {
  readonly position: Position
  readonly limits: QueueLimits
  /** How long a batch may wait for room. */
  readonly roomMs: number
  readonly order: 'key' | 'partition' | 'none'
  /** Aborted: handlers are to leave. */
  readonly abandon: AbortSignal
}

/** What is known of one partition between its assignment and its revocation. */
export class PartitionWork implements Committing {
  readonly topic: string
  readonly partition: number
  readonly abandon: AbortSignal
  committed: bigint | null
  /** Jobs, not records. */
  inWork = 0
  /** The store was told that reading begins. */
  begun = false
  /** Too much is queued. */
  backPressure = false
  /** The waiting room has no room for these; null: it has. */
  full: readonly Delivery[] | null = null
  /** In the list of partitions that have something to do. */
  listed = false
  #postponed: NodeJS.Timeout | null = null
  #careful = 0
  #dropped = false
  #firstOffset: bigint | null = null
  #nextOffset: bigint | null = null
  #room: AbortController | null = null
  readonly #roomMs: number
  readonly #queue: PartitionQueue
  #watermark = new Watermark()
  readonly #order: 'key' | 'partition' | 'none'

  constructor({ position, limits, order, abandon, roomMs }: PartitionWorkOptions) {
    this.#roomMs = roomMs
    this.topic = position.topic
    this.partition = position.partition
    this.committed = position.committed
    this.abandon = abandon
    this.#order = order
    this.#queue = new PartitionQueue(limits)
  }

  get position(): bigint | null {
    return this.#watermark.position
  }

  /** Records that may be handled at once. */
  get ready(): number {
    return this.#dropped || this.#postponed !== null ? 0 : this.#queue.ready
  }

  /** Where reading began. */
  get firstOffset(): bigint {
    return this.#firstOffset ?? 0n
  }

  /** One record at a time, and the store is told before. */
  get careful(): boolean {
    return this.#careful > 0
  }

  get dropped(): boolean {
    return this.#dropped
  }

  get halfEmpty(): boolean {
    return this.#queue.halfEmpty
  }

  beCareful(): void {
    this.#careful = CAREFUL_RECORDS
  }

  /** Queues a batch; waits a little when there is no room. @returns false when nothing came of it */
  async take(batch: RecordBatch): Promise<boolean> {
    if (this.#queue.full) {
      this.#room = new AbortController()
      await pause(this.#roomMs, this.#room.signal)
      this.#room = null
    }
    if (this.#dropped) return false
    for (const record of batch.records) {
      // Read once more after the client's position was moved: it is here already.
      if (this.#nextOffset !== null && record.offset < this.#nextOffset) continue
      this.#firstOffset ??= record.offset
      this.#nextOffset = record.offset + 1n
      const mark = this.#watermark.add(record.offset)
      const chain = chainOf(record, this.#order)
      this.#queue.add({ record, mark, chain, retries: 0, announced: false })
    }
    if (this.#nextOffset === null || batch.nextOffset > this.#nextOffset) {
      this.#nextOffset = batch.nextOffset
      this.#watermark.reach(batch.nextOffset)
    }
    if (this.#queue.full) this.backPressure = true
    return true
  }

  next(): QueuedRecord | undefined {
    return this.#queue.next()
  }

  nextMany(max: number): QueuedRecord[] {
    return this.#queue.nextMany(max)
  }

  putBack(queued: readonly QueuedRecord[]): void {
    if (!this.#dropped) this.#queue.putBack(queued)
  }

  /** @returns whether it counts: not after the partition was given up */
  finish(queued: QueuedRecord): boolean {
    if (this.#dropped) return false
    if (this.#careful > 0) this.#careful--
    this.#queue.finish(queued)
    this.#watermark.finish(queued.mark)
    if (this.#room !== null && !this.#queue.full) this.#room.abort()
    return true
  }

  /** Reading goes on somewhere else, perhaps further back. */
  reposition(): void {
    this.#watermark = new Watermark()
    this.#nextOffset = null
    this.committed = null
  }

  /** Nothing is handled for so long; `then` is called afterwards. */
  postpone(durationMs: number, then: () => void): void {
    if (this.#dropped || this.#postponed !== null) return
    this.#postponed = setTimeout(() => {
      this.#postponed = null
      then()
    }, durationMs)
  }

  /** Given up: what is queued is forgotten, and what is in work does not count any more. */
  drop(): void {
    this.#dropped = true
    if (this.#postponed !== null) clearTimeout(this.#postponed)
    this.#postponed = null
    this.#queue.clear()
    this.#room?.abort()
  }
}

export function placeOf({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition }
}
