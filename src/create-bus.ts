/** The consumer kit on Kafka and PostgreSQL: opens what all subscriptions share, and closes it after them. */
import { hostname } from 'node:os'
import type { SharedParts } from './bus-parts.ts'
import type {
  AggregateRoot,
  BatchHandler,
  BatchOptions,
  Bus,
  DomainEvent,
  Handler,
  SubscribeOptions,
  Subscription,
} from './consumer/bus.ts'
import type { ConsumerEvent, ConsumerListener } from './consumer/consumer-events.ts'
import { Dependencies, type DependencyOptions } from './consumer/dependencies.ts'
import { publishAggregate, publishEvent } from './consumer/domain-event.ts'
import { POSTGRES } from './consumer/gates.ts'
import { BatchHandling, Handling } from './consumer/handling.ts'
import { batchSizeOf, settingsOf } from './consumer/subscription-options.ts'
import type { Tx } from './consumer/tx.ts'
import { describeError, SluiceError } from './errors.ts'
import type { KafkaConnection } from './kafka/connection.ts'
import { openSubscription, type Work } from './open-subscription.ts'
import { loadOptions } from './options.ts'
import { Database } from './postgres/database.ts'
import { openTransactionPool } from './postgres/transaction-pool.ts'
import type { Log } from './telemetry/log.ts'
import { logConsumerEvents } from './telemetry/log-consumer-events.ts'
import { CONTROL_TOPIC } from './waiting-room/control-event.ts'
import { checkConsumerSchema } from './waiting-room/schema-check.ts'

export interface BusSettings {
  /** `postgres://…` of the service's own database, with the schemas `outbox` and `waiting_room`. Default: DATABASE_URL. */
  readonly databaseUrl?: string
  /** Default: the environment's KAFKA_*. */
  readonly kafka?: Partial<KafkaConnection>
  /** Gets the kit's log lines. Default: silence. */
  readonly logger?: Log
  /** Called with everything that becomes true. Must not throw and must return at once. */
  readonly listeners?: readonly ConsumerListener[]
  /** What handlers need besides the database. */
  readonly dependencies?: Readonly<Record<string, DependencyOptions>>
  /** Where changes of tasks are told and commands are taken from; null: nowhere. Default `twr-inbox`. */
  readonly controlTopic?: string | null
  /** Transactions at once, over all subscriptions of this bus. Default 10. */
  readonly connectionsMax?: number
}

const CONNECTIONS_MAX = 10
/** For claims, holds, probes and the like: single statements. */
const STATEMENT_CONNECTIONS_MAX = 4
const STATEMENT_TIMEOUT_MS = 10_000
const HANDLER_STATEMENT_TIMEOUT_MS = 60_000
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 90_000
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} }

/**
 * Makes a bus; nothing is opened before the first subscription.
 * @throws SluiceError code `options`
 */
export function createBus(settings: BusSettings = {}): Bus {
  return new KafkaBus(settings)
}

class KafkaBus implements Bus {
  readonly #shared: SharedParts
  readonly #dependencies: Dependencies
  readonly #subscriptions = new Set<Subscription>()
  #checked: Promise<void> | null = null
  readonly #opening = new Set<Promise<unknown>>()
  readonly #over = new AbortController()
  #closing: Promise<void> | null = null

  constructor(settings: BusSettings) {
    const { logger: log = SILENT, listeners = [], controlTopic = CONTROL_TOPIC } = settings
    const { databaseUrl, kafka } = optionsOf(settings)
    const heard = settings.logger ? [logConsumerEvents(log), ...listeners] : listeners
    const emit = (event: ConsumerEvent): void => {
      for (const listener of heard) listener(event)
    }
    const applicationName = `sluice consumer ${hostname()}-${process.pid}`
    const url = databaseUrl
    const database = new Database({
      url,
      applicationName,
      connectionsMax: STATEMENT_CONNECTIONS_MAX,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    })
    const pool = openTransactionPool({
      url,
      applicationName,
      connectionsMax: settings.connectionsMax ?? CONNECTIONS_MAX,
      statementTimeoutMs: HANDLER_STATEMENT_TIMEOUT_MS,
      idleInTransactionTimeoutMs: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    })
    this.#dependencies = new Dependencies({ emit, log })
    this.#dependencies.register(POSTGRES, {
      resetMs: 250,
      resetMaxMs: 1_000,
      probe: async () => {
        await database.run('probing the database', sql => sql`select 1`)
      },
    })
    for (const [name, options] of Object.entries(settings.dependencies ?? {})) {
      this.#dependencies.register(name, options)
    }
    const gate = this.#dependencies
    const closing = this.#over.signal
    this.#shared = { database, pool, gate, kafka, controlTopic, emit, log, closing }
  }

  async subscribe<T>(options: SubscribeOptions<T>, handler: Handler<T>): Promise<Subscription> {
    const settings = settingsOf(options)
    return this.#open({ settings, handling: new Handling({ settings, handler, ...this.#tools }) })
  }

  async subscribeBatch<T>(
    options: SubscribeOptions<T> & BatchOptions,
    handler: BatchHandler<T>,
  ): Promise<Subscription> {
    const settings = settingsOf(options)
    const batchSize = batchSizeOf(options)
    const handling = new BatchHandling(handler, { settings, ...this.#tools })
    return this.#open({ settings, handling, batchSize })
  }

  async publish(event: DomainEvent, tx: Tx): Promise<void> {
    await publishEvent(tx, event)
  }

  async publishForAggregate(aggregate: AggregateRoot, tx: Tx): Promise<number> {
    return publishAggregate(tx, aggregate)
  }

  close({ timeoutMs }: { timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(timeoutMs)
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  get #tools() {
    const call = this.#dependencies.call.bind(this.#dependencies)
    return { call, log: this.#shared.log }
  }

  async #open<T>(work: Work<T>): Promise<Subscription> {
    if (this.#closing) throw new SluiceError('lifecycle', 'the bus is closed')
    await this.#checkSchema()
    const subscription = await this.#opened(openSubscription(this.#shared, work))
    if (this.#closing) {
      await subscription.stop()
      throw new SluiceError('lifecycle', 'the bus was closed while the group was joined')
    }
    this.#subscriptions.add(subscription)
    const forget = () => this.#subscriptions.delete(subscription)
    subscription.completed.then(forget, forget)
    return subscription
  }

  /** Once for all subscriptions, and again after a failure. */
  async #checkSchema(): Promise<void> {
    this.#checked ??= checkConsumerSchema(this.#shared.database)
    try {
      await this.#checked
    } catch (error) {
      this.#checked = null
      throw error
    }
  }

  async #opened(opening: Promise<Subscription>): Promise<Subscription> {
    this.#opening.add(opening)
    try {
      return await opening
    } finally {
      this.#opening.delete(opening)
    }
  }

  /**
   * 1. Subscriptions drain, those that are joining give up. 2. Breakers and their probes end. 3. The connections close.
   */
  async #close(timeoutMs: number | undefined): Promise<void> {
    this.#over.abort()
    const time = timeoutMs === undefined ? {} : { timeoutMs }
    const stopping = [...this.#subscriptions].map(each => each.stop(time))
    const [stopped] = await Promise.all([
      Promise.allSettled(stopping),
      Promise.allSettled(this.#opening),
    ])
    await this.#dependencies.stop()
    const { pool, database, log } = this.#shared
    const closed = await Promise.allSettled([pool.stop(), database.stop()])
    for (const result of [...stopped, ...closed]) {
      if (result.status === 'rejected') {
        log.warn(
          { err: describeError(result.reason) },
          'a step of closing the bus did not end well',
        )
      }
    }
  }
}

/** What is given wins over the environment; a broker that is given needs none of the environment's. */
function optionsOf({ databaseUrl, kafka }: BusSettings) {
  const needs = [
    ...(databaseUrl === undefined ? (['database'] as const) : []),
    ...(kafka?.brokers === undefined ? (['kafka'] as const) : []),
  ]
  const options = loadOptions(process.env, databaseUrl === undefined ? {} : { databaseUrl }, needs)
  return { databaseUrl: options.databaseUrl, kafka: { ...options.kafka, ...kafka } }
}
