import type { Committing } from '../consumer/offset-commits.ts'
import type { Position } from '../consumer/record-source.ts'
import { type Mark, Watermark } from '../consumer/watermark.ts'

/** What is known of one partition between its assignment and its revocation. */
export class PartitionReading implements Committing {
  readonly topic: string
  readonly partition: number
  committed: bigint | null
  /** Frames that were given out and are not handled. */
  inWork = 0
  #watermark = new Watermark()
  #next: bigint | null = null
  #ended = false

  constructor({ topic, partition, committed }: Position) {
    this.topic = topic
    this.partition = partition
    this.committed = committed
  }

  /** Up to here all is handled; null: nothing has come yet. */
  get position(): bigint | null {
    return this.#watermark.position
  }

  /** Its assignment ends: nothing of it is given out any more. */
  get ended(): boolean {
    return this.#ended
  }

  /** @returns null when it has come before */
  add(offset: bigint): Mark | null {
    if (this.#next !== null && offset < this.#next) return null
    this.#next = offset + 1n
    return this.#watermark.add(offset)
  }

  finish(mark: Mark): void {
    this.#watermark.finish(mark)
  }

  /** Nothing below will come any more. */
  reach(nextOffset: bigint): void {
    if (this.#next !== null && nextOffset <= this.#next) return
    this.#next = nextOffset
    this.#watermark.reach(nextOffset)
  }

  /** Reading goes on somewhere else, perhaps further back. */
  reposition(): void {
    this.#watermark = new Watermark()
    this.#next = null
    this.committed = null
  }

  end(): void {
    this.#ended = true
  }
}
