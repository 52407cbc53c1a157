import { SluiceError } from '../errors.ts'
import type {
  HoldTarget,
  ReplayQuery,
  ReplayReport,
  Subscription,
  SubscriptionState,
} from './bus.ts'
import type { DeliveryEngine } from './delivery-engine.ts'
import type { RecordSource } from './record-source.ts'

/** Handles the tasks of the waiting room that are due. */
export interface TaskScheduler {
  start(): Promise<void>
  /** Claims no more, lets what is in work end within the time, and gives back the rest. */
  stop(timeoutMs: number): Promise<void>
  /** A task was added that may be due sooner than those known. */
  wake(): void
}

/** What an operator may do with a group, in the database and so for all its members. */
export type GroupControls = Pick<Subscription, 'pause' | 'resume' | 'replay'>

export interface SubscriptionParts {
  readonly group: string
  readonly source: Pick<RecordSource, 'start' | 'stop'>
  readonly engine: Pick<DeliveryEngine, 'state' | 'quiesce' | 'close'> & Sink
  readonly scheduler: TaskScheduler
  readonly controls: GroupControls
  /** Closes what else belongs to this subscription. */
  readonly close?: () => Promise<void>
}

type Sink = Parameters<RecordSource['start']>[0]

const STOP_TIMEOUT_MS = 30_000

/** A member of a consumer group, with the group's waiting room. */
export class KafkaSubscription implements Subscription {
  readonly group: string
  readonly completed: Promise<void>
  readonly #parts: SubscriptionParts
  #complete: () => void = () => {}
  #fail: (error: unknown) => void = () => {}
  #joined = false
  #stopping: Promise<void> | null = null
  #stopped = false

  private constructor(parts: SubscriptionParts) {
    this.#parts = parts
    this.group = parts.group
    this.completed = new Promise((resolve, reject) => {
      this.#complete = resolve
      this.#fail = reject
    })
    // Whoever does not look at it is not to die of it.
    this.completed.catch(() => {})
  }

  /**
   * @returns once the group is joined and tasks are claimed
   * @throws as `RecordSource.start` and the scheduler; all is stopped then
   */
  static async start(parts: SubscriptionParts): Promise<KafkaSubscription> {
    const subscription = new KafkaSubscription(parts)
    try {
      await parts.source.start(parts.engine)
      subscription.#joined = true
      await parts.scheduler.start()
    } catch (error) {
      await subscription.stop({ timeoutMs: 0 }).catch(() => {})
      throw error
    }
    return subscription
  }

  get state(): SubscriptionState {
    if (this.#stopped) return 'stopped'
    const { state } = this.#parts.engine
    if (state === 'crashed') return 'crashed'
    return !this.#joined || state === 'unassigned' ? 'joining' : state
  }

  async pause(target: HoldTarget, options: { reason: string; until?: Date }): Promise<void> {
    return await this.#controls().pause(target, options)
  }

  async resume(target: HoldTarget): Promise<void> {
    return await this.#controls().resume(target)
  }

  async replay(query: ReplayQuery): Promise<ReplayReport> {
    return await this.#controls().replay(query)
  }

  /** Drains within the time, and leaves the group. Safe to call twice. */
  stop({ timeoutMs = STOP_TIMEOUT_MS }: { timeoutMs?: number } = {}): Promise<void> {
    this.#stopping ??= this.#stop(timeoutMs).finally(() => this.#complete())
    return this.#stopping
  }

  /** It cannot go on: stops it, and `completed` rejects. */
  async fail(error: unknown): Promise<void> {
    this.#fail(error)
    await this.stop({ timeoutMs: 0 }).catch(() => {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /**
   * 1. Nothing new begins, from Kafka or the waiting room. 2. What is in work of both may end; then offsets are
   * committed and the group is left. 3. Timers end, and what belongs to the subscription alone is closed.
   */
  async #stop(timeoutMs: number): Promise<void> {
    const { engine, scheduler, source, close } = this.#parts
    engine.quiesce()
    const drained = await Promise.allSettled([scheduler.stop(timeoutMs), source.stop(timeoutMs)])
    engine.close()
    this.#stopped = true
    const closed = await Promise.allSettled([close?.()])
    const failed = [...drained, ...closed].find(result => result.status === 'rejected')
    if (failed) throw failed.reason
  }

  #controls(): GroupControls {
    if (this.#stopping === null) return this.#parts.controls
    throw new SluiceError('lifecycle', `the subscription of group ${this.group} was stopped`)
  }
}
