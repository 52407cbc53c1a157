import type postgres from 'postgres'
import { SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { type Sql, withConnection } from '../postgres/short-connection.ts'

/** Statements within one transaction. */
export type Queries = postgres.ISql<Record<string, unknown>>

export const READ_TIMEOUT_MS = 5_000
const WRITE_TIMEOUT_MS = 30_000
/** A lock that is not to be had by then belongs to someone who needs it more. */
const LOCK_TIMEOUT_MS = 5_000
/** How much longer than the server we wait: past it the connection itself must be dead. */
const ANSWER_MARGIN_MS = 5_000

const QUERY_CANCELED = '57014'
/** undefined_table, invalid_schema_name, undefined_column, undefined_function */
const SCHEMA_MISSING = ['42P01', '3F000', '42703', '42883']

/**
 * An operator's view of the outbox: every statement runs in a transaction with time limits of its own, which also
 * holds through a transaction pooler.
 */
export class OutboxAccess {
  readonly #sql: Sql

  constructor(sql: Sql) {
    this.#sql = sql
  }

  /**
   * Runs reading statements.
   * @param what names them in errors
   * @throws SluiceError `schema`: something of the schema is missing; `database`: everything else
   */
  async read<T>(
    what: string,
    query: (tx: Queries) => PromiseLike<T>,
    timeoutMs = READ_TIMEOUT_MS,
  ): Promise<T> {
    const work = this.#sql.begin('isolation level read committed read only', async tx => {
      await setTimeouts(tx, timeoutMs)
      return await query(tx)
    }) as Promise<T>
    return answered(what, timeoutMs, work)
  }

  /** As `read`; null when the time limit ended it. */
  async readUnlessSlow<T>(
    what: string,
    query: (tx: Queries) => PromiseLike<T>,
    timeoutMs = READ_TIMEOUT_MS,
  ): Promise<T | null> {
    try {
      return await this.read(what, query, timeoutMs)
    } catch (error) {
      if (error instanceof SluiceError && sqlStateOf(error.cause) === QUERY_CANCELED) return null
      throw error
    }
  }

  /** Runs `work` in one transaction that is committed as a whole or not at all. Errors as of `read`. */
  async write<T>(what: string, work: (tx: Queries) => PromiseLike<T>): Promise<T> {
    const begun = this.#sql.begin('isolation level read committed read write', async tx => {
      await setTimeouts(tx, WRITE_TIMEOUT_MS)
      return await work(tx)
    }) as Promise<T>
    return answered(what, WRITE_TIMEOUT_MS, begun)
  }
}

/** Opens one connection for `work` and closes it afterwards. */
export async function withOutbox<T>(
  databaseUrl: string,
  command: string,
  work: (outbox: OutboxAccess) => Promise<T>,
): Promise<T> {
  return withConnection(databaseUrl, `sluice ${command}`, sql => work(new OutboxAccess(sql)))
}

/** The SQLSTATE, or system code, of an error or of what caused it; '' when there is none. */
export function sqlStateOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  const { code } = error as { code?: unknown }
  const known = typeof code === 'string' && !(error instanceof SluiceError)
  return known ? code : sqlStateOf(error.cause)
}

async function setTimeouts(tx: Queries, timeoutMs: number): Promise<void> {
  await tx`
    select set_config('statement_timeout', ${`${timeoutMs}ms`}, true),
      set_config('lock_timeout', ${`${LOCK_TIMEOUT_MS}ms`}, true),
      set_config('idle_in_transaction_session_timeout', ${`${WRITE_TIMEOUT_MS}ms`}, true)`
}

async function answered<T>(what: string, timeoutMs: number, work: Promise<T>): Promise<T> {
  const answerMs = timeoutMs + ANSWER_MARGIN_MS
  const late = () => new Error(`no answer from PostgreSQL within ${answerMs} ms`)
  try {
    return await withDeadline(work, answerMs, late)
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    const state = sqlStateOf(cause)
    if (SCHEMA_MISSING.includes(state)) {
      const message = 'the schema "outbox" is missing or too old; run: sluice migrate'
      throw new SluiceError('schema', message, { cause })
    }
    const why = state === QUERY_CANCELED ? ` took longer than ${timeoutMs / 1_000} s` : ' failed'
    throw new SluiceError('database', `${what}${why}`, { cause, retryable: true })
  }
}
