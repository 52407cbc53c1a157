import { SluiceError } from '../errors.ts'
import { endsWithin } from '../internal/ends-within.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import type { Log } from '../telemetry/log.ts'
import { AirCoreFrame } from './air-core-frame.ts'
import type { config } from './config.ts'
import type { OpenRequest } from './open-request.ts'
import { OpenRequests } from './open-requests.ts'
import type { PayloadCodec } from './payload-codec.ts'
import { publisher } from './publisher.ts'
import { NoPartition, RequestTimeout } from './pubsub-errors.ts'
import { ReplyLosses } from './reply-losses.ts'
import { reply_to_subscriber } from './reply-to-subscriber.ts'
import { SILENT } from './subscriber-options.ts'
import { topic_type } from './topic-type.ts'

const TIMEOUT_MS_MAX = 2 ** 31 - 1

export interface CorrespondentOptions<Q, A> {
  /** Gets log lines, never payloads. Default: silence. */
  readonly logger?: Log
  /** For `ask`. */
  readonly codec?: PayloadCodec<Q, A>
}

export interface RequestOptions {
  /** From the call to the last reply, in milliseconds. */
  readonly timeoutMs: number
  /** Aborted: the request ends with the signal's reason. */
  readonly signal?: AbortSignal
}

export interface AskOptions extends RequestOptions {
  readonly type: string
  /** Questions of one key are kept in order. Default null. */
  readonly key?: string | null
  /** Of the frame; to ask again what was asked before. Default: a new one. */
  readonly id?: string
}

/**
 * Sends requests to the workers and matches their replies. Each request ends: in a reply, in RequestFailed (the worker
 * says so), RequestTimeout, ReplyPartitionLost, the signal's reason, SluiceError `options` or `event` (it was refused),
 * or SluiceError `lifecycle` (closed). Replies that nobody waits for are counted.
 */
export class Correspondent<Q = never, A = never> implements AsyncDisposable {
  readonly #config: config
  readonly #codec: PayloadCodec<Q, A> | null
  readonly #publisher: publisher
  readonly #replies: reply_to_subscriber
  readonly #open: OpenRequests
  readonly #losses: ReplyLosses
  #matching: Promise<void> | null = null
  #asked = false
  #unmatched = 0
  #closing: Promise<void> | null = null

  private constructor(settings: config, { logger, codec }: CorrespondentOptions<Q, A>) {
    this.#config = settings
    this.#codec = codec ?? null
    const log = logger ?? SILENT
    this.#open = new OpenRequests(settings.requests_max)
    this.#losses = new ReplyLosses(this.#open, settings.reply_group === 'instance', log)
    this.#publisher = publisher.create(settings)
    const replies = { logger: log, listener: this.#losses }
    this.#replies = reply_to_subscriber.create(settings, replies)
  }

  /** Opens nothing yet. */
  static create<Q = never, A = never>(
    settings: config,
    options: CorrespondentOptions<Q, A> = {},
  ): Correspondent<Q, A> {
    return new Correspondent(settings, options)
  }

  /** Replies that nobody waited for: late, double, or for another instance. */
  get unmatched(): number {
    return this.#unmatched
  }

  /** Requests that have not ended. */
  get open_requests(): number {
    return this.#open.size
  }

  /** Records on the reply topic that were no frames. */
  get bad_frames(): number {
    return this.#replies.bad_frames
  }

  /** The partitions on which replies are awaited now. */
  get partitions(): readonly number[] {
    return this.#replies.partitions.partitions
  }

  /**
   * Joins the group of the reply topic and connects the publisher; may be called again after a failure.
   * @returns once a request that is sent will get its reply
   * @throws SluiceError `options`, `broker` (not within connect_timeout_ms), `lifecycle`; NoPartition: the topic has
   * fewer partitions than there are instances
   */
  async connect(): Promise<void> {
    this.#assertOpen()
    this.#asked = true
    const untilMs = monotonicMs() + this.#config.connect_timeout_ms
    const results = await Promise.allSettled([this.#replies.connect(), this.#publisher.connect()])
    for (const result of results) if (result.status === 'rejected') throw result.reason
    this.#assertOpen()
    this.#matching ??= this.#match()
    await this.#replies.partitions.get_next_partition(untilMs - monotonicMs())
  }

  /** False also while the group rebalances: requests then wait, and time runs. */
  is_connected(): boolean {
    return this.#replies.is_connected()
  }

  /**
   * Sends a request and waits for its first reply.
   *
   * Sent again with the same frame, the worker can tell by the id that it is the same.
   * @throws as the class says
   */
  async request(frame: AirCoreFrame, options: RequestOptions): Promise<AirCoreFrame> {
    const request = await this.#begin(frame, options)
    try {
      const reply = await request.next()
      if (reply === null) throw new SluiceError('lifecycle', 'the request was closed')
      return reply
    } finally {
      this.#open.close(request)
    }
  }

  /**
   * Sends a request, once the loop begins, and gives each reply until the one with `last`. Leaving the loop ends it.
   * @throws as the class says
   */
  async *request_many(
    frame: AirCoreFrame,
    options: RequestOptions,
  ): AsyncGenerator<AirCoreFrame, void, undefined> {
    const request = await this.#begin(frame, options)
    try {
      for (let reply = await request.next(); reply !== null; reply = await request.next()) {
        yield reply
      }
    } finally {
      this.#open.close(request)
    }
  }

  /**
   * As `request`, with the codec that was given to `create`.
   * @throws as the class says; SluiceError `event` too when the reply is not understood
   */
  async ask(question: Q, { type, key, id, ...options }: AskOptions): Promise<A> {
    const codec = this.#codec
    if (codec === null) {
      throw new SluiceError('options', 'codec was not given: give create one, or use request')
    }
    const given = { ...(key !== undefined && { key }), ...(id !== undefined && { id }) }
    const frame = AirCoreFrame.request({ type, payload: codec.encode(question), ...given })
    const { payload } = await this.request(frame, options)
    try {
      return codec.decode(payload)
    } catch (cause) {
      throw new SluiceError('event', `the reply to request ${frame.id} was not understood`, {
        cause,
      })
    }
  }

  /** Ends open requests with SluiceError `lifecycle`, and closes. Never rejects. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close()
    await this.#closing
  }

  async #begin(frame: AirCoreFrame, { timeoutMs, signal }: RequestOptions): Promise<OpenRequest> {
    this.#assertOpen()
    if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > TIMEOUT_MS_MAX) {
      throw new SluiceError(
        'options',
        `timeoutMs must be a whole number from 1 to ${TIMEOUT_MS_MAX}, it is ${timeoutMs}`,
      )
    }
    if (frame.kind !== 'request') {
      throw new SluiceError('event', `frame ${frame.id} is of kind ${frame.kind}, not a request`)
    }
    if (!this.#asked) throw new SluiceError('lifecycle', 'not connected: await connect() first')
    const untilMs = monotonicMs() + timeoutMs
    this.#open.reserve()
    try {
      const partition = await this.#nextPartition(frame, timeoutMs, signal)
      this.#assertOpen()
      const correlation_id = frame.correlation_id ?? frame.id
      const request = this.#open.open({
        request_id: frame.id,
        correlation_id,
        partition,
        timeout_ms: timeoutMs,
        until_ms: untilMs,
        replies_max: this.#config.frames_max,
        signal,
      })
      const reply_to = { topic: this.#config.topics.reply_to, partition }
      void this.#send(request, frame.with({ correlation_id, reply_to }), untilMs)
      return request
    } finally {
      this.#open.release()
    }
  }

  async #nextPartition(
    frame: AirCoreFrame,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    try {
      return await this.#replies.partitions.get_next_partition(timeoutMs, signal)
    } catch (error) {
      if (!(error instanceof NoPartition)) throw error
      const facts = { request_id: frame.id, partition: null, published: false }
      throw new RequestTimeout(facts, timeoutMs, error)
    }
  }

  /** Never rejects. What is unknown of the sending is left to the request's time: the reply may come. */
  async #send(request: OpenRequest, frame: AirCoreFrame, untilMs: number): Promise<void> {
    const timeout_ms = Math.max(1, untilMs - monotonicMs())
    try {
      await this.#publisher.send(frame, { topic_type: topic_type.worker, timeout_ms })
      request.published()
    } catch (error) {
      if (error instanceof SluiceError && error.retryable) request.unconfirmed(error)
      else request.fail(error)
    }
  }

  /** The loop over replies; ends when the subscriber is closed. */
  async #match(): Promise<void> {
    for await (const reply of this.#replies.frames) {
      const matched = reply.kind === 'reply' && this.#open.find(reply.correlation_id)?.take(reply)
      if (!matched) this.#unmatched++
    }
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw closed()
  }

  /** 1. Requests end. 2. The reader leaves its group, which ends the loop. 3. The publisher closes. */
  async #close(): Promise<void> {
    this.#losses.stop()
    this.#open.failAll(closed())
    await this.#replies[Symbol.asyncDispose]()
    this.#losses.stop()
    if (this.#matching) await endsWithin(this.#matching, {})
    await this.#publisher[Symbol.asyncDispose]()
  }
}

function closed(): SluiceError {
  return new SluiceError('lifecycle', 'the correspondent is closed')
}
