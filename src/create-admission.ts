/**
 * Composition of `sluice admission`: the rooms in PostgreSQL, the granter that reads the joins from Kafka, the keeper
 * that frees and gives places, and the HTTP server before them. The order of a stop is that of `stop()`.
 */
import { hostname } from 'node:os'
import { Registry } from 'prom-client'
import type { AdmissionDesk } from './admission/admission-desk.ts'
import { AdmissionTokens } from './admission/admission-token.ts'
import { granterOptions, joinsHandler } from './admission/granter.ts'
import { type AdmissionServer, startAdmissionServer } from './admission/http/server.ts'
import { waitingPage } from './admission/page/waiting-page.ts'
import { PostgresDesk } from './admission/postgres-desk.ts'
import { RoomKeeper } from './admission/room-keeper.ts'
import type { TurnReport } from './admission/room-turn.ts'
import { checkAdmissionSchema } from './admission/schema-check.ts'
import { readSigningKey } from './admission/signing-key.ts'
import type { Bus } from './consumer/bus.ts'
import { createBus } from './create-bus.ts'
import { createOutbox, type Outbox } from './create-outbox.ts'
import { describeError, SluiceError } from './errors.ts'
import type { Health } from './http/health.ts'
import { withDeadline } from './internal/deadline.ts'
import { monotonicMs } from './internal/monotonic.ts'
import { pause } from './internal/pause.ts'
import { Supervisor } from './internal/supervisor.ts'
import { openKafka } from './kafka/connection.ts'
import { ensureTopics } from './kafka/topic-presence.ts'
import { loadOptions, type Options } from './options.ts'
import { whenReachable } from './outbox/schema-check.ts'
import { Database } from './postgres/database.ts'
import { openTransactionPool, type TransactionPool } from './postgres/transaction-pool.ts'
import { createAdmissionMetrics } from './telemetry/admission-metrics.ts'
import type { Log } from './telemetry/log.ts'

export interface AdmissionSettings {
  /** Gets the log lines. Default: silence. */
  readonly logger?: Log
  /** Options that differ from the environment's and the defaults. */
  readonly config?: Partial<Options>
  /** Publish the outbox too, in this process. Default false: `sluice run` does it elsewhere. */
  readonly relay?: boolean
}

export interface Admission extends AsyncDisposable {
  /** `host:port` of the API and the page; null before the start, and without a server. */
  readonly address: string | null
  /** For those who serve visitors by themselves. */
  readonly desk: AdmissionDesk
  /** Pending from `start` on; resolves once stopped, rejects when a part has died. */
  readonly completed: Promise<void>
  /**
   * Resolves when visitors are served. The database is waited for, half a minute; Kafka need not be up: joins are taken,
   * and are given their places once it is.
   * @throws SluiceError `options`: a bad option, or the address is taken; `schema`: not migrated; `database`: not reachable
   */
  start(): Promise<void>
  /** Safe to call twice. */
  stop(): Promise<void>
}

/** Single statements: joins, looks, heartbeats. */
const STATEMENT_CONNECTIONS_MAX = 8
const STATEMENT_TIMEOUT_MS = 5_000
/** Turns of rooms. */
const TURN_CONNECTIONS_MAX = 6
const TURN_STATEMENT_TIMEOUT_MS = 10_000
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 15_000
const JOIN_AGAIN_MS = 2_000
const TOPICS_TIMEOUT_MS = 10_000
/** How long a database that failed the keeper counts as away; it looks at it more often. */
const FAULT_TOLD_MS = 2_000

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} }

/**
 * Makes waiting rooms; nothing is opened before `start`.
 * @throws SluiceError `options` that names every bad option
 */
export function createAdmission(settings: AdmissionSettings = {}): Admission {
  return new RunningAdmission(settings, loadOptions(process.env, settings.config))
}

class RunningAdmission implements Admission {
  readonly completed: Promise<void>
  readonly desk: PostgresDesk
  readonly #options: Readonly<Options>
  readonly #log: Log
  readonly #stopping = new AbortController()
  readonly #supervisor = new Supervisor(this.#stopping.signal)
  readonly #registry = new Registry()
  readonly #metrics = createAdmissionMetrics(this.#registry, { rooms: () => this.desk.rooms() })
  readonly #database: Database
  readonly #pool: TransactionPool
  readonly #bus: Bus
  readonly #relay: Outbox | null
  readonly #complete: () => void
  #server: AdmissionServer | null = null
  #keeper: RoomKeeper | null = null
  #faultAtMs = Number.NEGATIVE_INFINITY
  #granter: 'joining' | 'running' = 'joining'
  #started = false
  #stopped: Promise<void> | null = null

  constructor(settings: AdmissionSettings, options: Readonly<Options>) {
    const { logger: log = SILENT, relay = false } = settings
    const { databaseUrl: url, kafka, admission } = options
    this.#options = options
    this.#log = log
    const applicationName = `sluice admission ${hostname()}-${process.pid}`
    this.#database = new Database({
      url,
      applicationName,
      connectionsMax: STATEMENT_CONNECTIONS_MAX,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    })
    this.#pool = openTransactionPool({
      url,
      applicationName,
      connectionsMax: TURN_CONNECTIONS_MAX,
      statementTimeoutMs: TURN_STATEMENT_TIMEOUT_MS,
      idleInTransactionTimeoutMs: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    })
    this.desk = new PostgresDesk({ ...this.#rooms, capacityOfNewRooms: admission.capacity })
    this.#bus = createBus({ databaseUrl: url, kafka, logger: log, controlTopic: null })
    this.#relay = relay ? createOutbox({ logger: log, config: options }) : null
    let complete = () => {}
    const stopped = new Promise<void>(resolve => {
      complete = resolve
    })
    this.#complete = complete
    const dead = this.#relay
      ? [this.#supervisor.died, this.#relay.completed]
      : [this.#supervisor.died]
    this.completed = Promise.race([stopped, ...dead])
    this.completed.catch(() => {})
  }

  get address(): string | null {
    return this.#server?.address ?? null
  }

  async start(): Promise<void> {
    if (this.#started) throw new SluiceError('lifecycle', 'an admission can be started once')
    this.#started = true
    const { signal } = this.#stopping
    const key = await whenReachable(() => this.#prepare(), this.#log, signal)
    await this.#relay?.start()
    this.#keeper = this.#keep()
    this.#supervisor.watch('the keeper', this.#keeper.completed)
    this.#supervisor.watch('the granter', this.#grant(signal))
    this.#server = await this.#serve(key)
    this.#log.info({ http: this.address ?? 'off' }, 'admission started')
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** 1. Nobody is served any more. 2. The granter drains. 3. The keeper ends. 4. What was asked for is answered. 5. The connections close. */
  async #stop(): Promise<void> {
    this.#stopping.abort()
    const untilMs = monotonicMs() + this.#options.shutdownGraceMs
    const steps: [string, () => Promise<void> | undefined][] = [
      ['closing the server', () => this.#server?.stop()],
      [
        'stopping the granter',
        () => this.#bus.close({ timeoutMs: this.#options.shutdownGraceMs / 2 }),
      ],
      ['stopping the keeper', () => this.#keeper?.stop()],
      ['closing the desk', () => this.desk.stop()],
      ['stopping the relay', () => this.#relay?.stop()],
      ['closing the transactions', () => this.#pool.stop()],
      ['closing the database', () => this.#database.stop()],
    ]
    for (const [step, work] of steps) {
      const leftMs = Math.max(200, untilMs - monotonicMs())
      const late = () => new Error('it took too long')
      await withDeadline(Promise.resolve(work()), leftMs, late).catch((error: unknown) =>
        this.#log.warn({ step, err: describeError(error) }, 'a step of the stop did not end well'),
      )
    }
    this.#complete()
  }

  get #rooms() {
    const { changesTopic, joinsTopic } = this.#options.admission
    return {
      database: this.#database,
      pool: this.#pool,
      joinsTopic,
      changesTopic,
      onTurn: this.#onTurn,
    }
  }

  async #prepare(): Promise<readonly (string | Buffer)[]> {
    await checkAdmissionSchema(this.#database)
    const { keys } = this.#options.admission
    return keys ?? [await readSigningKey(this.#database)]
  }

  #keep(): RoomKeeper {
    return RoomKeeper.start({
      ...this.#rooms,
      sessionRetentionMs: this.#options.admission.retentionMs,
      onFault: (error: unknown) => {
        this.#faultAtMs = monotonicMs()
        this.#log.warn({ err: describeError(error) }, 'the rooms could not be looked after')
      },
    })
  }

  /** Kafka may be away at the start, and for as long as it likes: joins wait in the outbox. */
  async #grant(signal: AbortSignal): Promise<void> {
    const { changesTopic, group, joinsTopic } = this.#options.admission
    const handler = joinsHandler(changesTopic, this.#onTurn)
    const options = granterOptions(group, joinsTopic)
    while (!signal.aborted) {
      try {
        await this.#ensureTopics(signal)
        const granter = await this.#bus.subscribeBatch(options, handler)
        this.#granter = 'running'
        await granter.completed
      } catch (error) {
        if (!signal.aborted) {
          this.#log.warn({ err: describeError(error) }, 'the granter has not joined its group yet')
        }
      }
      this.#granter = 'joining'
      await pause(JOIN_AGAIN_MS, signal)
    }
  }

  /** Events of a topic that is missing would wait for it in the outbox. */
  async #ensureTopics(signal: AbortSignal): Promise<void> {
    const { kafka, admission } = this.#options
    const { joinsTopic, changesTopic } = admission
    const topics = [joinsTopic, ...(changesTopic === null ? [] : [changesTopic])]
    const creating = ensureTopics(openKafka(kafka, TOPICS_TIMEOUT_MS), topics, 'create', signal)
    const late = () => new Error(`no answer from Kafka within ${TOPICS_TIMEOUT_MS} ms`)
    await withDeadline(creating, TOPICS_TIMEOUT_MS, late)
  }

  async #serve(keys: readonly (string | Buffer)[]): Promise<AdmissionServer | null> {
    const { http, adminToken, capacity, joinsPerSecond, proxies } = this.#options.admission
    if (http === null) return null
    const tokens = new AdmissionTokens(keys)
    return startAdmissionServer({
      host: http.host,
      port: http.port,
      desk: this.desk,
      tokens,
      adminToken,
      joinsPerSecond,
      trustProxy: proxies,
      log: this.#log,
      listener: this.#metrics,
      health: () => this.#health(),
      metrics: () => this.#registry.metrics(),
      page: waitingPage({
        desk: this.desk,
        tokens,
        roomsByJoining: capacity !== null,
        log: this.#log,
        onJoin: this.#metrics.joined,
      }),
    })
  }

  readonly #onTurn = (_eventId: string, report: TurnReport): void => this.#metrics.turned(report)

  #health(): Health {
    const stopping = this.#stopping.signal.aborted
    const awayMs = monotonicMs() - this.#faultAtMs
    const checks = [
      { name: 'lifecycle', ok: !stopping, text: stopping ? 'stopping' : 'running' },
      {
        name: 'database',
        ok: awayMs > FAULT_TOLD_MS,
        text: awayMs > FAULT_TOLD_MS ? 'answers' : 'does not answer',
      },
      {
        name: 'granter',
        ok: true,
        text: this.#granter === 'running' ? 'running' : 'degraded: joining its group',
      },
    ]
    // A restart brings no database back.
    return { live: true, ready: checks.every(({ ok }) => ok), checks }
  }
}
