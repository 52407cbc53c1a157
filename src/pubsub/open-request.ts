import { monotonicMs } from '../internal/monotonic.ts'
import type { AirCoreFrame } from './air-core-frame.ts'
import {
  RepliesOverflow,
  ReplyPartitionLost,
  type RequestFacts,
  RequestFailed,
  RequestTimeout,
} from './pubsub-errors.ts'

export interface OpenRequestParts {
  readonly request_id: string
  readonly correlation_id: string
  /** Where its replies are expected. */
  readonly partition: number
  readonly timeout_ms: number
  /** On the monotonic clock. */
  readonly until_ms: number
  /** Replies that may wait to be read. */
  readonly replies_max: number
  readonly signal: AbortSignal | undefined
}

/** A request from its sending to its end, whichever comes first: the last reply, a time-out, a loss, an abort. */
export class OpenRequest {
  readonly correlation_id: string
  readonly partition: number
  readonly #parts: OpenRequestParts
  readonly #seen = new Set<string>()
  readonly #release: () => void
  #replies: AirCoreFrame[] = []
  #wake: () => void = () => {}
  #ended = false
  #error: unknown = null
  #published = false
  #fault: unknown

  constructor(parts: OpenRequestParts) {
    const { correlation_id, partition, signal, timeout_ms, until_ms } = parts
    this.#parts = parts
    this.correlation_id = correlation_id
    this.partition = partition
    const late = () => this.fail(new RequestTimeout(this.#facts, timeout_ms, this.#fault))
    const timer = setTimeout(late, Math.max(0, until_ms - monotonicMs()))
    const aborted = () => this.fail(signal?.reason)
    signal?.addEventListener('abort', aborted, { once: true })
    this.#release = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
    }
    if (signal?.aborted) aborted()
  }

  /** Nothing can change it any more. */
  get ended(): boolean {
    return this.#ended
  }

  /** The brokers have the request. */
  published(): void {
    this.#published = true
  }

  /** It was not confirmed; a reply may come all the same. */
  unconfirmed(fault: unknown): void {
    this.#fault = fault
  }

  /** @returns false for a reply that came before, or too late */
  take(reply: AirCoreFrame): boolean {
    if (this.#ended || this.#seen.has(reply.id)) return false
    if (this.#replies.length >= this.#parts.replies_max) {
      this.fail(new RepliesOverflow(this.#parts.request_id, this.#replies.length))
      return false
    }
    this.#seen.add(reply.id)
    if (reply.error !== null) {
      this.#end(new RequestFailed(this.#parts.request_id, reply, reply.error))
    } else {
      this.#replies.push(reply)
      if (reply.last) this.#end(null)
    }
    this.#wake()
    return true
  }

  lose(): void {
    this.fail(new ReplyPartitionLost(this.#facts))
  }

  fail(error: unknown): void {
    this.#end(error ?? new Error('the request failed without a reason'))
  }

  /** Nobody reads its replies any more. */
  close(): void {
    this.#end(null)
    this.#replies = []
  }

  /** The next reply; null: that was the last one. @throws why it ended, once all replies before that were read */
  async next(): Promise<AirCoreFrame | null> {
    for (;;) {
      const reply = this.#replies.shift()
      if (reply !== undefined) return reply
      if (this.#error !== null) throw this.#error
      if (this.#ended) return null
      await new Promise<void>(settle => {
        this.#wake = settle
      })
    }
  }

  get #facts(): RequestFacts {
    const { request_id, partition } = this.#parts
    return { request_id, partition, published: this.#published }
  }

  /** The first end counts. */
  #end(error: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    this.#release()
    this.#wake()
  }
}
