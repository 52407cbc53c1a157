/**
 * The relay as a library: wires the parts, or those that the user brings, and stops them in a written order.
 * `sluice run` is this plus logs, metrics and HTTP (`daemon.ts`).
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { openPool } from './create-producer.ts'
import { describeError, SluiceError } from './errors.ts'
import type { RelayEvent, RelayListener } from './events.ts'
import { withDeadline } from './internal/deadline.ts'
import { monotonicMs } from './internal/monotonic.ts'
import { Supervisor } from './internal/supervisor.ts'
import { loadOptions, type Options } from './options.ts'
import type { OutboxAdapter } from './outbox/adapter.ts'
import { type Backlog, measureBacklog } from './outbox/backlog.ts'
import { PostgresOutbox } from './postgres-outbox.ts'
import type { Producer } from './relay/producer.ts'
import { PublishPool } from './relay/publish-pool.ts'
import { Relay } from './relay/relay.ts'
import type { Log } from './telemetry/log.ts'
import { logRelayEvents } from './telemetry/log-relay-events.ts'

export interface OutboxSettings {
  /** Gets the relay's log lines, as `sluice run` writes them. Default: silence. */
  readonly logger?: Log
  /** Default: kafkajs on worker threads. A producer that is given stays the caller's to close. */
  readonly producer?: Producer
  /** Default: PostgreSQL at `config.databaseUrl`. An adapter that is given is stopped with the relay. */
  readonly adapter?: OutboxAdapter
  /** Options that differ from the environment's and the defaults; see `Options` for units and bounds. */
  readonly config?: Partial<Options>
  /** Called with everything that becomes true. Must not throw and must return at once. */
  readonly listeners?: readonly RelayListener[]
  /**
   * Publish from this database although its outbox is bound to another server, database or Kafka cluster: for a copy
   * that has become the original. Default false: such a start is refused.
   */
  readonly adopt?: boolean
}

export interface Outbox extends AsyncDisposable {
  /** This replica's name in `outbox.lanes` and `outbox.replicas`. */
  readonly replica: string
  /** Pending from `start` on; resolves once stopped, rejects when a part has died. */
  readonly completed: Promise<void>
  /**
   * Resolves when the relay works. A database that is not up yet is waited for, half a minute; Kafka need not be up.
   * @throws SluiceError `schema`: not migrated; `database`: not reachable; `lifecycle`: started before
   */
  start(): Promise<void>
  /**
   * Takes no more, settles what is in flight, gives the lanes to other replicas. Safe to call twice.
   * @param options.signal aborted: leave at once; what was in flight may be published again by others
   */
  stop(options?: { signal?: AbortSignal }): Promise<void>
  readonly facts: OutboxFacts | null
  /** A look at the waiting events whose cost does not grow with them; null without a database of ours. */
  backlog(): Promise<Backlog | null>
}

export type OutboxFacts = Relay['facts']

/** Time kept back from the grace for giving up lanes and closing, once the slots have ended. */
const CLOSING_MS = 1_500

/**
 * Makes a relay; nothing is opened before `start`.
 * @throws SluiceError code `options` that names every bad option
 */
export function createOutbox(settings: OutboxSettings = {}): Outbox {
  const needs = [
    ...(settings.adapter ? [] : (['database'] as const)),
    ...(settings.producer ? [] : (['kafka'] as const)),
  ]
  return new RunningOutbox(settings, loadOptions(process.env, settings.config, needs))
}

class RunningOutbox implements Outbox {
  readonly replica = `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`
  readonly completed: Promise<void>
  readonly #settings: OutboxSettings
  readonly #options: Readonly<Options>
  readonly #log: Log
  readonly #listeners: RelayListener[]
  readonly #stopping = new AbortController()
  readonly #supervisor = new Supervisor(this.#stopping.signal)
  readonly #complete: () => void
  #postgres: PostgresOutbox | null = null
  #adapter: OutboxAdapter | null = null
  #producer: Producer | null = null
  #relay: Relay | null = null
  #stopped: Promise<void> | null = null
  #started = false
  /** The Kafka cluster that has answered, as long as the outbox is not bound to one. */
  #clusterToBind: string | null = null

  constructor(settings: OutboxSettings, options: Readonly<Options>) {
    this.#settings = settings
    this.#options = options
    this.#log = settings.logger ?? SILENT
    const { logger, listeners = [] } = settings
    this.#listeners = [...(logger ? [logRelayEvents(logger)] : []), ...listeners]
    let complete = () => {}
    const stopped = new Promise<void>(resolve => {
      complete = resolve
    })
    this.#complete = complete
    this.completed = Promise.race([stopped, this.#supervisor.died])
    this.completed.catch(() => {})
  }

  get facts(): OutboxFacts | null {
    return this.#relay?.facts ?? null
  }

  async backlog(): Promise<Backlog | null> {
    return this.#postgres && measureBacklog(this.#postgres.database)
  }

  async start(): Promise<void> {
    if (this.#started) throw new SluiceError('lifecycle', 'an outbox can be started once')
    this.#started = true
    try {
      this.#adapter = this.#settings.adapter ?? (await this.#openPostgres())
      this.#producer = this.#settings.producer ?? this.#openPool()
      const parts = { adapter: this.#adapter, producer: this.#producer, emit: this.#emit }
      this.#relay = new Relay(this.#options, parts)
      this.#supervisor.watch('the relay', this.#relay.died)
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async stop({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    this.#stopped ??= this.#stop(signal)
    await this.#stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #stop(signal: AbortSignal | undefined): Promise<void> {
    this.#stopping.abort()
    const untilMs = monotonicMs() + this.#options.shutdownGraceMs
    const leftMs = () => (signal?.aborted ? 0 : Math.max(0, untilMs - monotonicMs()))
    // 1. The slots take no more and settle what they have, at most until the closing time.
    const drained = await this.#relay?.stop(Math.max(0, leftMs() - CLOSING_MS), signal)
    if (drained === false)
      this.#log.warn({}, 'the grace time ended before all batches were settled')
    // 2. The threads end: from here on nothing can be sent, so the lanes may go to others.
    if (!this.#settings.producer)
      await this.#quietly('closing the producer', this.#producer?.close(leftMs()), leftMs())
    // 3. The lanes are given up and the replica leaves the list.
    await this.#quietly('giving the lanes up', this.#adapter?.stop(), Math.max(leftMs(), 200))
    // 4. The connections close.
    await this.#quietly('closing the database', this.#postgres?.close(), Math.max(leftMs(), 200))
    this.#complete()
  }

  /** A stop goes on whatever happens to one of its steps. */
  async #quietly(step: string, work: Promise<void> | undefined, withinMs: number): Promise<void> {
    try {
      await withDeadline(Promise.resolve(work), withinMs, () => new Error('it took too long'))
    } catch (error) {
      this.#log.warn({ step, err: describeError(error) }, 'a step of the stop did not end well')
    }
  }

  async #openPostgres(): Promise<OutboxAdapter> {
    this.#postgres = new PostgresOutbox({
      options: this.#options,
      replica: this.replica,
      adopt: this.#settings.adopt ?? false,
      log: this.#log,
      emit: this.#emit,
      onSurvey: ({ breakersElsewhere }) => {
        this.#relay?.suspect(breakersElsewhere)
        this.#bindCluster()
      },
      supervisor: this.#supervisor,
      stop: this.#stopping.signal,
    })
    this.#listeners.push(this.#postgres.listener)
    return this.#postgres.open()
  }

  #openPool(): PublishPool {
    const pool = openPool(this.#options, clusterId => {
      this.#clusterToBind = clusterId
    })
    if (this.#postgres?.clusterId) pool.expectCluster(this.#postgres.clusterId)
    return pool
  }

  /** From then on, a thread that finds another cluster sends nothing to it. What fails is tried at the next survey. */
  #bindCluster(): void {
    const [clusterId, postgres, pool] = [this.#clusterToBind, this.#postgres, this.#producer]
    if (clusterId === null || !postgres || !(pool instanceof PublishPool)) return
    this.#clusterToBind = null
    postgres.bindCluster(clusterId).then(
      bound => pool.expectCluster(bound),
      error => {
        this.#clusterToBind = clusterId
        this.#log.warn({ err: describeError(error) }, 'the Kafka cluster could not be bound yet')
      },
    )
  }

  readonly #emit = (event: RelayEvent): void => {
    for (const listener of this.#listeners) listener(event)
  }
}

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} }
