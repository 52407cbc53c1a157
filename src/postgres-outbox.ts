/** The relay's side of PostgreSQL: connections, adapter, board, retention and doorbell, opened and closed in order. */
import { hostname } from 'node:os'
import type { RelayEvent } from './events.ts'
import { packageVersion } from './internal/package-version.ts'
import type { Supervisor } from './internal/supervisor.ts'
import type { Options } from './options.ts'
import { BreakerBoard } from './outbox/breaker-board.ts'
import { Doorbell, mayRing } from './outbox/doorbell.ts'
import { bindCluster, checkInstallation } from './outbox/installation.ts'
import type { Survey } from './outbox/lane-store.ts'
import { PostgresAdapter } from './outbox/postgres-adapter.ts'
import { keepRetention } from './outbox/retention.ts'
import { checkSchema, whenReachable } from './outbox/schema-check.ts'
import { Database } from './postgres/database.ts'
import type { Log } from './telemetry/log.ts'

export interface PostgresOutboxParts {
  readonly options: Readonly<Options>
  readonly replica: string
  /** Bind a copied outbox to this server, whatever it was bound to. */
  readonly adopt: boolean
  readonly log: Log
  readonly emit: (event: RelayEvent) => void
  readonly onSurvey: (survey: Survey) => void
  /** Its loops are watched here. */
  readonly supervisor: Supervisor
  /** Aborted when the loops must end. */
  readonly stop: AbortSignal
}

/** The server ends a statement of the relay after this time. */
const STATEMENT_TIMEOUT_MS = 5_000

export class PostgresOutbox {
  readonly database: Database
  readonly #parts: PostgresOutboxParts
  readonly #name: string
  readonly #board: BreakerBoard
  #bell: Doorbell | null = null
  #clusterId: string | null = null

  /** Connects to nothing yet. */
  constructor(parts: PostgresOutboxParts) {
    const { options, replica, emit } = parts
    this.#parts = parts
    this.#name = `sluice ${replica}`
    this.database = new Database({
      url: options.databaseUrl,
      applicationName: this.#name,
      // One for each slot's confirm, and for: reserving, lane leases, the board, retention.
      connectionsMax: options.slots + 4,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      breakerResetMs: options.breakerResetMs,
      onBreaker: (state, reason) =>
        emit({ kind: 'breaker_changed', breaker: 'database', state, reason }),
    })
    this.#board = new BreakerBoard(this.database, replica)
  }

  /** The Kafka cluster that this outbox is bound to; null before the first contact of any relay. */
  get clusterId(): string | null {
    return this.#clusterId
  }

  /**
   * Waits for the database, checks that its schema and the place are the right ones, and starts to lease lanes.
   * @throws SluiceError as `whenReachable`, `checkSchema` and `checkInstallation` do
   */
  async open(): Promise<PostgresAdapter> {
    const { options, replica, adopt, log, emit, onSurvey, supervisor, stop } = this.#parts
    const { database } = this
    const rings = await whenReachable(
      async () => {
        await checkSchema(database)
        const installation = await checkInstallation(database, { adopt, actor: replica })
        this.#clusterId = installation.kafkaClusterId
        return mayRing(database, options.doorbell)
      },
      log,
      stop,
    )
    if (rings) this.#bell = new Doorbell(database, options.databaseUrl, this.#name)
    const adapter = new PostgresAdapter({
      database,
      identity: { replica, host: hostname(), version: packageVersion() },
      reserveMs: options.reserveMs,
      retentionMs: options.retentionMs,
      deadLetterTopic: options.deadLetterTopic,
      bell: this.#bell,
      emit,
      onSurvey,
    })
    supervisor.watch('lane leases', adapter.completed)
    supervisor.watch('retention', keepRetention(database, options.retentionMs, log, stop))
    return adapter
  }

  /** Shows breakers to the other replicas. */
  readonly listener = (event: RelayEvent): void => this.#board.listener(event)

  /**
   * Told which Kafka cluster answers.
   * @returns the one that this outbox belongs to: the first that any of its relays has spoken to
   */
  async bindCluster(clusterId: string): Promise<string> {
    this.#clusterId ??= await bindCluster(this.database, clusterId)
    return this.#clusterId
  }

  async close(): Promise<void> {
    await Promise.all([this.#bell?.stop(), this.database.stop()])
  }
}
