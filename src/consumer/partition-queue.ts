import { KeyOrder } from './key-order.ts'
import type { SourceRecord } from './message.ts'
import type { Mark } from './watermark.ts'

/** A record that was read from Kafka and is not finished. */
export interface QueuedRecord {
  readonly record: SourceRecord
  readonly mark: Mark
  readonly chain: string | null
  /** Times that it was tried again without leaving the queue. */
  retries: number
  /** The store was told that it is about to be handled. */
  announced: boolean
}

export interface QueueLimits {
  readonly recordsMax: number
  readonly bytesMax: number
}

/** What objects around a record's bytes take, about. */
const RECORD_BYTES = 200

/** The unfinished records of one partition, in work ones included. Its owner keeps to the limits: `add` never refuses. */
export class PartitionQueue {
  readonly #order = new KeyOrder<QueuedRecord>()
  readonly #limits: QueueLimits
  #records = 0
  #bytes = 0

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  /** Unfinished records. */
  get records(): number {
    return this.#records
  }

  /** Records that may run at once. */
  get ready(): number {
    return this.#order.ready
  }

  get full(): boolean {
    return this.#records >= this.#limits.recordsMax || this.#bytes >= this.#limits.bytesMax
  }

  get halfEmpty(): boolean {
    const { recordsMax, bytesMax } = this.#limits
    return this.#records * 2 <= recordsMax && this.#bytes * 2 <= bytesMax
  }

  add(queued: QueuedRecord): void {
    this.#records++
    this.#bytes += bytesOf(queued.record)
    this.#order.add(queued)
  }

  next(): QueuedRecord | undefined {
    return this.#order.next()
  }

  /** Those that may run at once, in order, at most `max`. */
  nextMany(max: number): QueuedRecord[] {
    const taken: QueuedRecord[] = []
    while (taken.length < max) {
      const next = this.#order.next()
      if (next === undefined) break
      taken.push(next)
    }
    return taken
  }

  /** They were given out last, in this order, and are given out again first. */
  putBack(queued: readonly QueuedRecord[]): void {
    for (let index = queued.length - 1; index >= 0; index--) {
      this.#order.putBack(queued[index] as QueuedRecord)
    }
  }

  finish(queued: QueuedRecord): void {
    this.#records--
    this.#bytes -= bytesOf(queued.record)
    this.#order.finish(queued)
  }

  clear(): void {
    this.#records = 0
    this.#bytes = 0
    this.#order.clear()
  }
}

function bytesOf({ key, value, headers }: SourceRecord): number {
  let bytes = RECORD_BYTES + (key?.length ?? 0) + (value?.length ?? 0)
  for (const header of headers) bytes += header.name.length + (header.value?.length ?? 0)
  return bytes
}
