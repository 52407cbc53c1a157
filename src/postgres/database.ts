import postgres from 'postgres'
import { describeError, SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { DestinationBreaker, type DestinationState } from '../internal/destination-breaker.ts'
import {
  connectionFault,
  NoAnswerError,
  serverAnswered,
  TornAnswerError,
} from './connection-fault.ts'
import { pacedSockets } from './paced-sockets.ts'

export type Sql = postgres.Sql

export interface DatabaseOptions {
  readonly url: string
  readonly applicationName: string
  readonly connectionsMax: number
  /** The server ends a statement after this time. */
  readonly statementTimeoutMs: number
  /** While the server cannot be reached, one statement in this time is tried; the others fail at once. */
  readonly breakerResetMs?: number
  readonly onBreaker?: (state: DestinationState, reason: string) => void
}

/** How much longer than the server we wait: past it the connection itself must be dead. */
const ANSWER_MARGIN_MS = 2_000
const BREAKER_RESET_MS = 1_000

/**
 * The relay's connections to PostgreSQL. Every statement has a deadline: the server's `statement_timeout` for a
 * slow one, and our own for a connection that no longer answers, because postgres.js waits for ever on a
 * half-open socket. After such a silence the whole pool is replaced. A circuit breaker keeps the relay's loops from
 * hammering a server that is not there.
 */
export class Database {
  readonly #options: DatabaseOptions
  readonly #breaker: DestinationBreaker
  #sql: Sql
  #stopped = false

  constructor(options: DatabaseOptions) {
    this.#options = options
    const { breakerResetMs = BREAKER_RESET_MS, onBreaker = () => {} } = options
    this.#breaker = new DestinationBreaker(breakerResetMs, onBreaker)
    this.#sql = this.#open()
  }

  /**
   * Runs one statement.
   * @param what names it in errors
   * @throws SluiceError code `database`, retryable, whatever the cause; a SluiceError of the statement's own as it is
   */
  async run<T>(what: string, statement: (sql: Sql) => PromiseLike<T>): Promise<T> {
    if (this.#stopped) throw new SluiceError('lifecycle', `${what}: the database is closed`)
    const breaker = this.#breaker
    if (breaker.shut) throw failed(what, new Error(`not tried: ${breaker.reason}`))
    const probes = !breaker.closed
    if (probes) breaker.probe()
    try {
      const result = await this.#answered(statement)
      breaker.succeed()
      return result
    } catch (cause) {
      const fault = connectionFault(cause)
      if (fault) breaker.fail(describeError(fault))
      else if (serverAnswered(cause)) breaker.succeed()
      throw cause instanceof SluiceError ? cause : failed(what, cause)
    } finally {
      if (probes) breaker.probeEnded()
    }
  }

  async #answered<T>(statement: (sql: Sql) => PromiseLike<T>): Promise<T> {
    const sql = this.#sql
    const answerMs = this.#options.statementTimeoutMs + ANSWER_MARGIN_MS
    const result = await withDeadline(statement(sql), answerMs, () => {
      this.#replace(sql)
      return new NoAnswerError(answerMs)
    })
    // A connection of postgres.js that was cut in the middle of an answer goes on counting rows in the next one.
    if (Array.isArray(result) && result.length > 0 && !(0 in result)) throw new TornAnswerError()
    return result
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#breaker.stop()
    await this.#sql.end({ timeout: 1 })
  }

  #replace(silent: Sql): void {
    if (this.#sql !== silent || this.#stopped) return
    this.#sql = this.#open()
    silent.end({ timeout: 0 }).catch(() => {})
  }

  #open(): Sql {
    const { url, applicationName, connectionsMax, statementTimeoutMs } = this.#options
    return postgres(url, {
      max: connectionsMax,
      connect_timeout: 5,
      idle_timeout: 0,
      max_lifetime: 60 * 30,
      // Bounded, so that a database that comes back is found within half a second.
      backoff: retries =>
        Math.min(0.5, 0.05 * 2 ** Math.min(retries, 6)) * (0.5 + Math.random() / 2),
      socket: pacedSockets(),
      fetch_types: false,
      onnotice: () => {},
      connection: {
        application_name: applicationName,
        statement_timeout: statementTimeoutMs,
        // A server-wide `escape` would make postgres.js decode payloads wrongly, without an error.
        bytea_output: 'hex',
        default_transaction_isolation: 'read committed',
        // The statements are short and their plans known: lanes are read in index order, whatever the statistics
        // of a table say that is empty one moment and full the next.
        jit: 'off',
        enable_seqscan: 'off',
        enable_bitmapscan: 'off',
      } as Record<string, string | number>,
    } as postgres.Options<Record<string, never>>) as Sql
  }
}

function failed(what: string, cause: unknown): SluiceError {
  return new SluiceError('database', `${what} failed`, { cause, retryable: true })
}
