import type { Mark } from '../consumer/watermark.ts'
import { Condition } from '../internal/condition.ts'
import { Fifo } from '../internal/fifo.ts'
import type { AirCoreFrame } from './air-core-frame.ts'
import type { PartitionReading } from './partition-reading.ts'

/** A frame that was received and is not handled. */
export interface QueuedFrame {
  readonly frame: AirCoreFrame
  readonly bytes: number
  readonly mark: Mark
  readonly reading: PartitionReading
}

export interface QueueLimits {
  readonly frames_max: number
  readonly bytes_max: number
}

/** Frames that wait to be handled, in the order of their coming. Its owner keeps to the limits. */
export class FrameQueue {
  readonly #limits: QueueLimits
  readonly #frames = new Fifo<QueuedFrame>()
  readonly #takers = new Fifo<(queued: QueuedFrame | null) => void>()
  readonly #changed = new Condition()
  #bytes = 0
  #closed = false

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#frames.size
  }

  get full(): boolean {
    return this.#frames.size >= this.#limits.frames_max || this.#bytes >= this.#limits.bytes_max
  }

  /** Resolves when there is room, as there is after `clear` too. */
  async room(): Promise<void> {
    await this.#changed.until(() => !this.full)
  }

  push(queued: QueuedFrame): void {
    if (this.#handOver(queued)) return
    this.#bytes += queued.bytes
    this.#frames.push(queued)
  }

  /** It was taken and not handled: whoever takes next gets it. */
  putBack(queued: QueuedFrame): void {
    if (this.#closed || queued.reading.ended) return
    if (this.#handOver(queued)) return
    this.#bytes += queued.bytes
    this.#frames.unshift(queued)
  }

  /** Its reading counts it as in work. @returns null once it is closed */
  take(): Promise<QueuedFrame | null> {
    if (this.#closed) return Promise.resolve(null)
    const queued = this.#frames.shift()
    if (queued === undefined) return new Promise(settle => this.#takers.push(settle))
    this.#bytes -= queued.bytes
    queued.reading.inWork++
    this.#changed.notify()
    return Promise.resolve(queued)
  }

  /** Forgets what waits: others will read it. */
  clear(): void {
    this.#frames.clear()
    this.#bytes = 0
    this.#changed.notify()
  }

  /** Those who wait for a frame are told that none comes. */
  close(): void {
    this.#closed = true
    this.clear()
    for (let taker = this.#takers.shift(); taker; taker = this.#takers.shift()) taker(null)
  }

  #handOver(queued: QueuedFrame): boolean {
    const taker = this.#takers.shift()
    if (taker === undefined) return false
    queued.reading.inWork++
    taker(queued)
    return true
  }
}
