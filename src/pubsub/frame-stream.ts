import type { AirCoreFrame } from './air-core-frame.ts'
import type { FrameQueue, QueuedFrame } from './frame-queue.ts'

/** Told what becomes of frames that were given out. */
export interface FrameKeeper {
  handled(queued: QueuedFrame): void
  /** Given out and not handled. */
  returned(queued: QueuedFrame): void
}

/**
 * Received frames, for `for await`. A frame counts as handled when the loop asks for the next one. A loop that is left,
 * by `break` as by an error, has not handled its last frame: the next loop gets it again. Several loops at once share
 * the frames between them.
 */
export class FrameStream implements AsyncIterable<AirCoreFrame> {
  readonly #queue: FrameQueue
  readonly #keeper: FrameKeeper

  constructor(queue: FrameQueue, keeper: FrameKeeper) {
    this.#queue = queue
    this.#keeper = keeper
  }

  /** Frames that wait. */
  get size(): number {
    return this.#queue.size
  }

  /** Ends when the subscriber is closed. */
  [Symbol.asyncIterator](): AsyncIterator<AirCoreFrame, undefined> {
    return new FrameIterator(this.#queue, this.#keeper)
  }
}

class FrameIterator implements AsyncIterator<AirCoreFrame, undefined> {
  readonly #queue: FrameQueue
  readonly #keeper: FrameKeeper
  #given: QueuedFrame[] = []
  #left = false

  constructor(queue: FrameQueue, keeper: FrameKeeper) {
    this.#queue = queue
    this.#keeper = keeper
  }

  async next(): Promise<IteratorResult<AirCoreFrame, undefined>> {
    const handled = this.#given
    this.#given = []
    for (const queued of handled) this.#keeper.handled(queued)
    const queued = this.#left ? null : await this.#queue.take()
    if (queued === null) return { done: true, value: undefined }
    if (this.#left) {
      this.#keeper.returned(queued)
      return { done: true, value: undefined }
    }
    this.#given.push(queued)
    return { done: false, value: queued.frame }
  }

  async return(): Promise<IteratorResult<AirCoreFrame, undefined>> {
    this.#left = true
    const returned = this.#given
    this.#given = []
    // In their order: each becomes the first.
    for (const queued of returned.reverse()) this.#keeper.returned(queued)
    return { done: true, value: undefined }
  }
}
