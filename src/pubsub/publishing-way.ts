import { SluiceError } from '../errors.ts'
import { fullJitterMs } from '../internal/backoff.ts'
import { withDeadline } from '../internal/deadline.ts'
import { endsWithin } from '../internal/ends-within.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import type { Fault } from '../kafka/fault.ts'
import { KafkajsSession } from '../kafka/kafkajs-session.ts'
import type { config } from './config.ts'
import { missing, prepareTopics, refused } from './topic-creation.ts'

const RETRY_MS_MIN = 50
const RETRY_MS_MAX = 1_000
/** Partitions that were added are found after so long. */
const FRESH_MS = 60_000
/** What is no older is not asked for again, whatever others say. */
const LEARN_AGAIN_AFTER_MS = 1_000
/** A broker that has just started may not know a topic yet. */
const MISSING_AFTER_MS = 2_000

/** A session that is connected, and what it was told of the topics. */
interface OpenWay {
  readonly session: KafkajsSession
  partitions: ReadonlyMap<string, number | Fault>
  learntAtMs: number
}

/**
 * The way to the brokers: one session at a time, and a new one after any fault. It is opened once for all who wait,
 * with a time of its own: a session made anew for each would never be there while brokers need longer than they have.
 */
export class PublishingWay {
  readonly #config: config
  readonly #topics: readonly string[]
  readonly #closed: AbortSignal
  readonly #sessions = new Set<KafkajsSession>()
  #prepared = false
  #open: OpenWay | null = null
  #opening: Promise<void> | null = null
  #refreshing: Promise<void> | null = null
  #failures = 0
  #opened = 0
  #fault: unknown
  /** Since when a topic was found missing each time. */
  readonly #missingSinceMs = new Map<string, number>()

  /** @param closed aborted: nothing is opened any more */
  constructor(settings: config, closed: AbortSignal) {
    const { topics, reply_topics } = settings
    this.#config = settings
    this.#closed = closed
    this.#topics = [...new Set([topics.worker, topics.reply_to, ...reply_topics])]
  }

  /** The one that takes work now; null: none does. */
  get session(): KafkajsSession | null {
    const session = this.#open?.session
    return session === undefined || session.retired ? null : session
  }

  /** Why the last try failed, for those whose time is over. */
  get fault(): unknown {
    return this.#fault
  }

  note(fault: unknown): void {
    this.#fault = fault
  }

  /** Sessions that were opened so far. */
  get opened(): number {
    return this.#opened
  }

  /**
   * @throws SluiceError `options`: the topic is missing, or the brokers refuse; `broker`: not in time; `lifecycle`
   */
  async partitionsOf(topic: string, untilMs: number): Promise<number> {
    for (;;) {
      const { partitions, learntAtMs } = await this.#current(untilMs)
      const found = partitions.get(topic)
      if (typeof found === 'number') {
        this.#missingSinceMs.delete(topic)
        if (monotonicMs() - learntAtMs > FRESH_MS) void this.#refresh()
        return found
      }
      this.#judge(topic, found)
      await pause(RETRY_MS_MIN, this.#closed)
      const late = () => this.#late()
      await withDeadline(this.#refresh(), untilMs - monotonicMs(), late)
    }
  }

  /** @returns whether the topics were looked up again: not when that was just done. @throws as `partitionsOf` */
  async learnAgain(untilMs: number): Promise<boolean> {
    const open = this.#open
    if (open === null || monotonicMs() - open.learntAtMs < LEARN_AGAIN_AFTER_MS) return false
    const late = () => this.#late()
    await withDeadline(this.#refresh(), untilMs - monotonicMs(), late)
    return true
  }

  /** Never rejects. */
  async close(graceMs: number): Promise<void> {
    const idle = Promise.allSettled([this.#opening, this.#refreshing])
    await this.#closeSessions(graceMs)
    await endsWithin(idle, { durationMs: graceMs })
    // One that was opened meanwhile.
    await this.#closeSessions(graceMs)
  }

  async #closeSessions(graceMs: number): Promise<void> {
    await Promise.all([...this.#sessions].map(session => session.close(graceMs)))
  }

  async #current(untilMs: number): Promise<OpenWay> {
    for (;;) {
      if (this.#closed.aborted) throw closed()
      const open = this.#open
      if (open !== null && !open.session.retired) return open
      this.#opening ??= this.#reopen().finally(() => {
        this.#opening = null
      })
      const late = () => this.#late()
      await withDeadline(this.#opening, untilMs - monotonicMs(), late)
    }
  }

  /** One try; rejects only with what trying again does not help. */
  async #reopen(): Promise<void> {
    if (this.#failures > 0) {
      await pause(
        RETRY_MS_MIN + fullJitterMs(this.#failures, RETRY_MS_MIN, RETRY_MS_MAX),
        this.#closed,
      )
    }
    if (this.#closed.aborted) return
    const untilMs = monotonicMs() + this.#config.publish_timeout_ms
    try {
      if (!this.#prepared && this.#config.create_topics !== null) {
        await prepareTopics(this.#config, untilMs, this.#closed)
      }
      this.#prepared = true
      if (this.#closed.aborted) return
      await this.#connect(untilMs)
      this.#failures = 0
    } catch (error) {
      if (this.#closed.aborted) throw closed()
      this.#failures++
      this.#fault = error
      if (error instanceof SluiceError && !error.retryable) throw error
    }
  }

  async #connect(untilMs: number): Promise<void> {
    const { connection, publish_timeout_ms: requestTimeoutMs } = this.#config
    const session = new KafkajsSession({ connection, requestTimeoutMs, messageBytesMax: 0 })
    this.#sessions.add(session)
    this.#opened++
    void session.ended.then(() => this.#sessions.delete(session))
    try {
      await session.connect(untilMs)
      const { topics: partitions } = await this.#describe(session, untilMs)
      this.#open = { session, partitions, learntAtMs: monotonicMs() }
    } catch (error) {
      session.retire()
      const fault = session.faultOf(error)
      if (fault.of === 'way' && fault.fault === 'producer') throw refused(fault.code, error)
      throw error
    }
  }

  #describe(session: KafkajsSession, untilMs: number) {
    const late = () => new Error('the brokers did not tell of the topics in time')
    return withDeadline(session.describe(this.#topics), untilMs - monotonicMs(), late)
  }

  /** Beside the sends, which go on with what is known. Never rejects. */
  #refresh(): Promise<void> {
    this.#refreshing ??= this.#lookUpAgain().finally(() => {
      this.#refreshing = null
    })
    return this.#refreshing
  }

  async #lookUpAgain(): Promise<void> {
    const open = this.#open
    if (open === null) return
    open.learntAtMs = monotonicMs()
    try {
      const untilMs = monotonicMs() + this.#config.publish_timeout_ms
      const { topics } = await this.#describe(open.session, untilMs)
      open.partitions = topics
    } catch (error) {
      this.#fault = error
      open.session.retire()
    }
  }

  /** @throws when it is worth no further try */
  #judge(topic: string, fault: Fault | undefined): void {
    if (fault === undefined) throw new Error(`topic ${topic} was not asked for`)
    this.#fault = new Error(fault.message)
    if (fault.of === 'event') throw refused(fault.code, this.#fault)
    if (fault.fault === 'producer') throw refused(fault.code, this.#fault)
    if (fault.code !== 'UNKNOWN_TOPIC_OR_PARTITION') return
    const sinceMs = this.#missingSinceMs.get(topic) ?? monotonicMs()
    this.#missingSinceMs.set(topic, sinceMs)
    if (monotonicMs() - sinceMs < MISSING_AFTER_MS) return
    this.#missingSinceMs.delete(topic)
    throw missing(topic)
  }

  #late(): SluiceError {
    return new SluiceError('broker', 'the brokers were not reached in time', {
      cause: this.#fault,
      retryable: true,
    })
  }
}

export function closed(): SluiceError {
  return new SluiceError('lifecycle', 'the publisher is closed')
}
