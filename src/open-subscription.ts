/** Composition of one subscription: the member of the group, the engine behind it, and the group's waiting room. */

import type { SharedParts } from './bus-parts.ts'
import type { Subscription } from './consumer/bus.ts'
import { DeliveryEngine } from './consumer/delivery-engine.ts'
import type { MessageHandling } from './consumer/message-handling.ts'
import { KafkaSubscription, type TaskScheduler } from './consumer/subscription.ts'
import type { SubscriptionSettings } from './consumer/subscription-settings.ts'
import { describeError } from './errors.ts'
import { openKafka } from './kafka/connection.ts'
import { KafkajsSource } from './kafka/kafkajs-source.ts'
import { readRange } from './kafka/range-reader.ts'
import { longestRetentionMs } from './kafka/topic-retention.ts'
import { openControlStream } from './open-control-stream.ts'
import { withAdmin } from './operator/kafka-access.ts'
import { GroupControls } from './waiting-room/group-controls.ts'
import { HoldWatch } from './waiting-room/hold-watch.ts'
import { inboxRetentionMs } from './waiting-room/inbox-retention.ts'
import { PostgresDeliveryStore } from './waiting-room/postgres-delivery-store.ts'
import { PostgresTaskStore } from './waiting-room/postgres-task-store.ts'
import { replayRange } from './waiting-room/replay-range.ts'
import { Scheduler } from './waiting-room/scheduler.ts'
import { Sweeper } from './waiting-room/sweeper.ts'

/** What is to be done with which records. */
export interface Work<T = unknown> {
  readonly settings: SubscriptionSettings<T>
  readonly handling: MessageHandling<T>
  /** With a BatchHandling: messages in one transaction, at most. */
  readonly batchSize?: number
}

const ADMIN_TIMEOUT_MS = 10_000
const GIVE_UP_MS = 1_000

/**
 * @returns once the group is joined
 * @throws SluiceError as `Bus.subscribe`; nothing is left open then
 */
export async function openSubscription<T>(
  shared: SharedParts,
  work: Work<T>,
): Promise<Subscription> {
  const opening = new OpenSubscription(shared, work)
  try {
    return await opening.open()
  } catch (error) {
    await opening.close()
    throw error
  }
}

class OpenSubscription<T> {
  readonly #shared: SharedParts
  readonly #work: Work<T>
  readonly #store: PostgresDeliveryStore
  readonly #stopping = new AbortController()
  #holds: HoldWatch | null = null
  #scheduler: Scheduler<T> | null = null
  #sweeper: Sweeper | null = null
  #control: KafkaSubscription | null = null

  constructor(shared: SharedParts, work: Work<T>) {
    const { group, limits } = work.settings
    this.#shared = shared
    this.#work = work
    this.#store = new PostgresDeliveryStore({ ...shared, group, limits })
  }

  async open(): Promise<Subscription> {
    const { database, emit, controlTopic } = this.#shared
    const { group } = this.#work.settings
    this.#holds = await HoldWatch.start({ database, group, onEvent: emit })
    const subscription = await this.#join(this.#holds)
    try {
      this.#sweeper = await this.#sweep()
      if (controlTopic !== null) this.#control = await this.#listen(controlTopic)
    } catch (error) {
      await subscription.stop()
      throw error
    }
    this.#watch(subscription)
    return subscription
  }

  async close(): Promise<void> {
    this.#stopping.abort()
    await Promise.all([this.#control?.stop(), this.#sweeper?.stop(), this.#holds?.stop()])
  }

  #join(holds: HoldWatch): Promise<KafkaSubscription> {
    const { kafka, log, gate, emit } = this.#shared
    const { settings, handling, batchSize } = this.#work
    const { group, topics, retryTopic } = settings
    const source = new KafkajsSource({
      ...settings,
      topics: retryTopic === null ? topics : [...topics, retryTopic],
      connection: kafka,
      log,
    })
    const engine = new DeliveryEngine({
      settings: settings as SubscriptionSettings,
      source,
      store: this.#store,
      handling: handling as MessageHandling,
      ...(batchSize !== undefined && { batchSize }),
      gate,
      holds,
      emit,
      parked: () => this.#scheduler?.wake(),
      listenerFailed: error =>
        log.warn({ group, err: describeError(error) }, 'the rebalance listener failed'),
    })
    const parts = { scheduler: this.#tasks(), controls: this.#controls(holds) }
    const close = () => this.close()
    return this.#unlessClosing(source, () =>
      KafkaSubscription.start({ group, source, engine, ...parts, close }),
    )
  }

  /** A bus that closes does not wait for a group that cannot be joined. */
  async #unlessClosing<R>(source: KafkajsSource, start: () => Promise<R>): Promise<R> {
    const { closing } = this.#shared
    const giveUp = () => void source.stop(GIVE_UP_MS)
    closing.addEventListener('abort', giveUp, { once: true })
    try {
      closing.throwIfAborted()
      return await start()
    } finally {
      closing.removeEventListener('abort', giveUp)
    }
  }

  /** Tasks of the group, wherever they came from, are handled by whoever is free. */
  #tasks(): TaskScheduler {
    const { gate, emit, controlTopic } = this.#shared
    const { settings, handling } = this.#work
    const store = new PostgresTaskStore({ ...this.#shared, group: settings.group, controlTopic })
    return {
      start: async () => {
        const { concurrency } = settings
        this.#scheduler = new Scheduler({
          ...{ store, handling, gate, settings, concurrency },
          onEvent: emit,
        })
      },
      stop: async timeoutMs => this.#scheduler?.stop(timeoutMs),
      wake: () => this.#scheduler?.wake(),
    }
  }

  #controls(holds: HoldWatch): Pick<Subscription, 'pause' | 'resume' | 'replay'> {
    const { group, topics } = this.#work.settings
    const controls = new GroupControls({ ...this.#shared, group, changed: () => this.#look(holds) })
    const { kafka } = this.#shared
    return {
      pause: (target, options) => controls.pause(target, options),
      resume: target => controls.resume(target),
      replay: query =>
        replayRange(
          {
            topics,
            readRange: range => readRange(openKafka(kafka, ADMIN_TIMEOUT_MS), range),
            store: this.#store,
            handling: this.#work.handling,
            parked: () => this.#scheduler?.wake(),
            signal: this.#stopping.signal,
          },
          query,
        ),
    }
  }

  /** Something was held or released: the watch would find it a second later. */
  async #look(holds: HoldWatch): Promise<void> {
    // A look that fails is made up for by the next one.
    await holds.refresh().catch(() => {})
    this.#scheduler?.wake()
  }

  async #sweep(): Promise<Sweeper> {
    const { kafka, emit } = this.#shared
    const { group, topics, inboxRetentionMs: askedMs } = this.#work.settings
    const keptMs = await withAdmin(
      openKafka(kafka, ADMIN_TIMEOUT_MS),
      'reading how long the topics keep their records',
      admin => longestRetentionMs(admin, topics),
    )
    return new Sweeper({
      ...this.#shared,
      group,
      inboxRetentionMs: inboxRetentionMs(askedMs, keptMs),
      onEvent: emit,
    })
  }

  #listen(controlTopic: string): Promise<KafkaSubscription> {
    return openControlStream(this.#shared, {
      controlTopic,
      group: this.#work.settings.group,
      onChange: () => {
        if (this.#holds) void this.#look(this.#holds)
      },
    })
  }

  /** The scheduler rejects for a bug only: then nothing that waits would ever be handled. */
  #watch(subscription: KafkaSubscription): void {
    this.#scheduler?.completed.catch(error => subscription.fail(error))
  }
}
