/**
 * Composition root of `sluice run`: the relay with its logs, metrics and HTTP server. The order of a stop is that of
 * `stop()`; within the relay it is that of `create-outbox.ts`.
 */
import { createOutbox, type Outbox } from './create-outbox.ts'
import { describeError } from './errors.ts'
import type { RelayListener } from './events.ts'
import type { HealthFacts } from './http/health.ts'
import { type HttpServer, startHttpServer } from './http/server.ts'
import { monotonicMs } from './internal/monotonic.ts'
import { packageVersion } from './internal/package-version.ts'
import { pause } from './internal/pause.ts'
import { Supervisor } from './internal/supervisor.ts'
import type { Options } from './options.ts'
import type { Backlog } from './outbox/backlog.ts'
import type { Log } from './telemetry/log.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'

export interface DaemonParts {
  readonly log: Log
  readonly listeners?: readonly RelayListener[]
  /** As `OutboxSettings.adopt`. */
  readonly adopt?: boolean
}

/** How often the backlog is looked at, for `/metrics` and `/readyz`. */
const BACKLOG_EVERY_MS = 5_000
/** A loop that has not turned, or events that have waited, for this many publish time-outs have stopped. */
const STALLED_AFTER_TIMEOUTS = 4

/**
 * Starts everything that `sluice run` consists of.
 * @throws SluiceError as `Outbox.start` does, or `options` when the HTTP address cannot be had
 */
export async function startDaemon(options: Options, parts: DaemonParts): Promise<Daemon> {
  const daemon = new Daemon(options, parts)
  try {
    await daemon.start()
  } catch (error) {
    await daemon.stop()
    throw error
  }
  return daemon
}

export class Daemon implements AsyncDisposable {
  readonly completed: Promise<void>
  readonly #options: Options
  readonly #log: Log
  readonly #metrics: Metrics
  readonly #outbox: Outbox
  readonly #stopping = new AbortController()
  readonly #supervisor = new Supervisor(this.#stopping.signal)
  #http: HttpServer | null = null
  #backlog: Backlog | null = null
  #started = false

  constructor(options: Options, { log, listeners = [], adopt = false }: DaemonParts) {
    this.#options = options
    this.#log = log
    this.#metrics = createMetrics({ version: packageVersion(), kafkaClient: options.kafka.client })
    this.#outbox = createOutbox({
      config: options,
      logger: log,
      adopt,
      listeners: [this.#metrics.listener, ...listeners],
    })
    this.completed = Promise.race([this.#outbox.completed, this.#supervisor.died])
    this.completed.catch(() => {})
  }

  get replica(): string {
    return this.#outbox.replica
  }

  async start(): Promise<void> {
    const { http } = this.#options
    if (http) this.#http = await startHttpServer({ ...http, ...this.#answers })
    await this.#outbox.start()
    this.#started = true
    this.#supervisor.watch('the look at the backlog', this.#watchBacklog())
    const address = this.#http?.address ?? 'off'
    this.#log.info({ replica: this.replica, http: address }, 'relay started')
  }

  /** 1. not ready any more; 2. the relay drains and gives its lanes up; 3. the HTTP server closes last. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#outbox.stop()
    await this.#http?.stop()
    this.#http = null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  health(): HealthFacts {
    const facts = this.#outbox.facts
    return {
      started: this.#started,
      stopping: this.#stopping.signal.aborted,
      loops: facts?.loops ?? [],
      lastReserveOkAtMs: facts?.lastReserveOkAtMs ?? null,
      lastPublishOkAtMs: facts?.lastPublishOkAtMs ?? null,
      breakersOpen: facts?.breakersOpen ?? [],
      oldestWaitingAgeSeconds: this.#backlog?.oldestDueAgeSeconds ?? null,
      nowMs: monotonicMs(),
      stalledAfterMs: Math.max(30_000, this.#options.publishTimeoutMs * STALLED_AFTER_TIMEOUTS),
    }
  }

  get #answers() {
    return {
      health: () => this.health(),
      metrics: () => this.#metrics.registry.metrics(),
    }
  }

  async #watchBacklog(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      try {
        this.#backlog = await this.#outbox.backlog()
        if (this.#backlog) this.#metrics.observeBacklog(this.#backlog)
      } catch (error) {
        this.#log.debug({ err: describeError(error) }, 'the backlog could not be measured')
      }
      await pause(BACKLOG_EVERY_MS, signal)
    }
  }
}
