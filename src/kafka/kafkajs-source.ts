import type {
  CommitOffset,
  RecordSink,
  RecordSource,
  TopicPartition,
} from '../consumer/record-source.ts'
import { SluiceError } from '../errors.ts'
import { fullJitterMs } from '../internal/backoff.ts'
import { withDeadline } from '../internal/deadline.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import type { MemberIdentity } from './kafkajs-cluster.ts'
import { faultOfKafkajs } from './kafkajs-fault.ts'
import { KafkajsMember } from './kafkajs-member.ts'
import {
  type KafkajsSettings,
  type KafkajsSourceOptions,
  kafkajsSettings,
} from './kafkajs-settings.ts'
import { endsWithin } from './kafkajs-waits.ts'
import { partitionKey } from './partition-key.ts'

const RESTART_MS_MIN = 250
const RESTART_MS_MAX = 2_000
/** A member that lived so long was not broken from the start. */
const SOUND_AFTER_MS = 60_000
const LOST_LIMIT_MS = 10_000
const CLOSE_GRACE_MS = 2_000
/** Of the time for a stop, what is kept for leaving the group. */
const LEAVE_SHARE = 0.25

/** Answers that the same settings will get again. */
const REFUSALS = new Set([
  'INVALID_SESSION_TIMEOUT',
  'INVALID_GROUP_ID',
  'INCONSISTENT_GROUP_PROTOCOL',
  'GROUP_AUTHORIZATION_FAILED',
])

/** A member of a consumer group on kafkajs, replaced by a fresh one whenever it has crashed. */
export class KafkajsSource implements RecordSource {
  readonly #settings: KafkajsSettings
  readonly #partitionCounts = new Map<string, number>()
  readonly #identity: MemberIdentity = { memberId: null }
  readonly #stopping = new AbortController()
  #sink: RecordSink | null = null
  #paused: ReadonlySet<string> = new Set()
  #epoch = 0
  #member: KafkajsMember | null = null
  #supervising: Promise<void> = Promise.resolve()
  #stopped: Promise<void> | null = null

  /** @throws SluiceError `options` */
  constructor(options: KafkajsSourceOptions) {
    this.#settings = kafkajsSettings(options)
  }

  async start(sink: RecordSink): Promise<void> {
    if (this.#sink !== null) throw new SluiceError('lifecycle', 'the source was started before')
    this.#sink = sink
    const starting = this.#start(sink)
    // A stop that comes meanwhile waits for its end.
    this.#supervising = starting.then(
      member => this.#supervise(member, sink),
      () => {},
    )
    await starting
  }

  setPaused(partitions: readonly TopicPartition[]): void {
    this.#paused = new Set(partitions.map(partitionKey))
    this.#member?.reconcile()
  }

  async commit(offsets: readonly CommitOffset[]): Promise<void> {
    await this.#member?.commit(offsets)
  }

  stop(timeoutMs: number): Promise<void> {
    this.#stopped ??= this.#stop(timeoutMs)
    return this.#stopped
  }

  async #start(sink: RecordSink): Promise<KafkajsMember> {
    const { group, joinTimeoutMs } = this.#settings
    const untilMs = monotonicMs() + joinTimeoutMs
    let cause: unknown
    let retryable = true
    for (let attempt = 1; ; attempt++) {
      const leftMs = untilMs - monotonicMs()
      if (this.#stopping.signal.aborted) {
        throw new SluiceError('lifecycle', 'the source was stopped while it was starting')
      }
      if (leftMs <= 0) break
      const member = this.#newMember(sink)
      try {
        await this.#open(member, leftMs)
        return member
      } catch (error) {
        cause = error
        await this.#bury(member)
        if (error instanceof SluiceError) throw error
        retryable = !isRefusal(error)
        if (!retryable) break
      }
      await pause(this.#restartMs(attempt, untilMs), this.#stopping.signal)
    }
    throw new SluiceError('broker', `group ${group} was not joined`, { cause, retryable })
  }

  #restartMs(attempt: number, untilMs = Number.POSITIVE_INFINITY): number {
    const jitterMs = fullJitterMs(attempt, RESTART_MS_MIN, RESTART_MS_MAX - RESTART_MS_MIN)
    return Math.min(RESTART_MS_MIN + jitterMs, untilMs - monotonicMs())
  }

  #newMember(sink: RecordSink): KafkajsMember {
    this.#member = new KafkajsMember({
      settings: this.#settings,
      sink,
      partitionCounts: this.#partitionCounts,
      identity: this.#identity,
      paused: () => this.#paused,
      nextEpoch: () => ++this.#epoch,
    })
    return this.#member
  }

  async #open(member: KafkajsMember, limitMs: number): Promise<void> {
    const starting = member.start()
    if (await endsWithin(starting, limitMs, this.#stopping.signal)) return
    starting.catch(() => {})
    throw new Error(`the group was not joined within ${Math.round(limitMs)} ms`)
  }

  async #bury(member: KafkajsMember): Promise<void> {
    member.end(new Error('the client is closed'))
    await member.drain('lost', LOST_LIMIT_MS)
    await member.close(CLOSE_GRACE_MS)
  }

  async #supervise(first: KafkajsMember, sink: RecordSink): Promise<void> {
    const { joinTimeoutMs, rebalanceTimeoutMs } = this.#settings
    const { signal } = this.#stopping
    let member = first
    let startedMs = monotonicMs()
    for (let attempt = 1; ; attempt++) {
      const reason = await member.ended
      if (signal.aborted) return
      if (monotonicMs() - startedMs > SOUND_AFTER_MS) attempt = 1
      await member.drain('lost', LOST_LIMIT_MS)
      if (signal.aborted) return
      const restartInMs = this.#restartMs(attempt)
      sink.crashed(reason, restartInMs)
      await Promise.all([member.close(CLOSE_GRACE_MS), pause(restartInMs, signal)])
      if (signal.aborted) return
      startedMs = monotonicMs()
      member = this.#newMember(sink)
      try {
        await this.#open(member, Math.max(joinTimeoutMs, rebalanceTimeoutMs))
      } catch (error) {
        member.end(error)
      }
    }
  }

  async #stop(timeoutMs: number): Promise<void> {
    const untilMs = monotonicMs() + timeoutMs
    const member = this.#member
    const drainMs = timeoutMs * (1 - LEAVE_SHARE)
    const draining = member?.drain('stop', drainMs / 1.25) ?? Promise.resolve()
    this.#stopping.abort()
    const work = async () => {
      // A drain for another reason may have begun before, with a limit of its own.
      if (!(await endsWithin(draining, drainMs / 1.25))) member?.hurry()
      await endsWithin(draining, drainMs / 5)
      await member?.close(Math.max(0, untilMs - monotonicMs()))
      await this.#supervising
    }
    const late = () => new Error('not stopped in time')
    await withDeadline(work(), timeoutMs, late).catch(() => {})
  }
}

/** The cluster was reached and said no: asking again does not help. */
function isRefusal(error: unknown): boolean {
  const fault = faultOfKafkajs(error)
  if (fault.of === 'way' && fault.fault === 'producer') return true
  for (let link = error; link instanceof Error; link = link.cause) {
    if (REFUSALS.has(String((link as { type?: unknown }).type))) return true
  }
  return false
}
