import type { Socket } from 'node:net'
import postgres from 'postgres'
import { SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { learnArrayTypes } from './array-types.ts'
import { NoAnswerError } from './connection-fault.ts'
import type { Sql } from './database.ts'
import { guarded, type Statement } from './guarded-tx.ts'
import type { SocketTarget } from './paced-sockets.ts'
import { isUnwritable } from './statement-fault.ts'

export interface ConnectionOptions {
  readonly url: string
  readonly applicationName: string
  readonly statementTimeoutMs: number
  readonly idleInTransactionTimeoutMs: number
  /** Shared by all connections, so that attempts keep their distance. */
  readonly socket: (target: SocketTarget) => Promise<Socket>
}

/** How much longer than the server we wait: past it the connection itself must be dead. */
const ANSWER_MARGIN_MS = 2_000
const OPEN_TIMEOUT_MS = 10_000
const CLOSE_TIMEOUT_SECONDS = 1

/** 25001: a transaction was begun within one; 25P01: one was ended outside of any. Both are warnings. */
const OUT_OF_STEP = new Set(['25001', '25P01'])

/**
 * One connection of a client of its own, which is used until it breaks and never again. After its close postgres.js
 * 3.4.9 would run what waits over a new connection, outside of the transaction; and it writes to a socket that is
 * gone, which ends the process. So nothing is handed to it from the moment it is known to be closed, and it gets no
 * new socket.
 */
export class SingleConnection {
  readonly sql: Sql
  readonly #silenceMs: number
  readonly #openedMs = monotonicMs()
  readonly #pending = new Set<Statement>()
  readonly #sockets = new Set<Socket>()
  readonly #onLost = new Set<(error: unknown) => void>()
  #connects = 0
  #watch: NodeJS.Timeout | undefined
  #lost: { readonly error: unknown } | null = null
  #spent = false
  #outOfStep = false

  private constructor(options: ConnectionOptions) {
    this.#silenceMs = options.statementTimeoutMs + ANSWER_MARGIN_MS
    this.sql = this.#client(options)
  }

  /** @throws SluiceError `database`: not connected in time; `options`: the URL cannot be read */
  static async open(options: ConnectionOptions, signal: AbortSignal): Promise<SingleConnection> {
    const connection = new SingleConnection(options)
    const onAbort = () => connection.lose(signal.reason)
    signal.addEventListener('abort', onAbort)
    try {
      const none = () => new NoAnswerError(OPEN_TIMEOUT_MS)
      await withDeadline(learnArrayTypes(connection.sql), OPEN_TIMEOUT_MS, none)
      if (connection.#lost) throw connection.#lost.error
      return connection
    } catch (cause) {
      connection.lose(cause)
      throw new SluiceError('database', 'connecting to PostgreSQL failed', {
        cause,
        retryable: true,
      })
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Why nothing can be run on it any more; null while it lives. */
  get lost(): { readonly error: unknown } | null {
    return this.#lost
  }

  /** Whether another transaction may have it. */
  get reusable(): boolean {
    return !this.#lost && !this.#spent && !this.#outOfStep && this.#pending.size === 0
  }

  get ageMs(): number {
    return monotonicMs() - this.#openedMs
  }

  /** The server has warned of a transaction within another, or of an end without one. */
  get outOfStep(): boolean {
    return this.#outOfStep
  }

  /** @returns takes the listener off again */
  onLost(listener: (error: unknown) => void): () => void {
    this.#onLost.add(listener)
    return () => this.#onLost.delete(listener)
  }

  /** Runs a statement without parameters. What is submitted afterwards is run after it, without waiting for it. */
  async run(text: string): Promise<{ readonly command: string }> {
    const query = guarded(this.sql.unsafe(text), (statement, send) => this.submit(statement, send))
    // An await alone would begin it a moment later, after what is executed meanwhile.
    query.execute()
    return (await query) as unknown as { command: string }
  }

  /**
   * Hands a statement to postgres.js and watches over its answer.
   *
   * A statement that cannot be written down (a parameter that is undefined, say) makes postgres.js reject the one that
   * is in work, if there is one, and wait for an answer to the new one that never comes: from then on every answer is
   * taken for the one before. Such a connection is given up, with the error that told.
   */
  submit(statement: Statement, send: () => void): void {
    // Nobody may be waiting for it; its failure shows at the commit.
    statement.catch(() => {})
    if (this.#lost) {
      statement.reject(this.#lost.error)
      return
    }
    const { resolve, reject } = statement
    statement.resolve = value => {
      this.#settled(statement)
      resolve(value)
    }
    statement.reject = error => {
      const alone = this.#pending.size === 1 && this.#pending.has(statement)
      this.#settled(statement)
      // The socket's close comes a while after its error.
      const harmless = error instanceof postgres.PostgresError || (alone && isUnwritable(error))
      if (!harmless) this.lose(error)
      reject(error)
    }
    this.#pending.add(statement)
    if (this.#pending.size === 1) this.#watchSilence()
    send()
  }

  /** Asks the server to give up what it is at. The connection is not used again: the request might come late. */
  cancelPending(): void {
    // Only the first: postgres.js loses count of the answers when one is cancelled that is not in work yet.
    const [statement] = this.#pending
    if (!statement) return
    this.#spent = true
    if (statement.active) statement.canceller(statement).catch(() => {})
  }

  /** Gives it up at once, with all that is in work on it. */
  lose(error: unknown): void {
    if (this.#lost) return
    this.#lost = { error }
    clearTimeout(this.#watch)
    for (const listener of this.#onLost) listener(error)
    // Rejects what waits inside of postgres.js. A socket that is silent would not end by itself.
    this.sql
      .end({ timeout: 0 })
      .catch(() => {})
      .finally(() => {
        for (const socket of this.#sockets) socket.destroy()
      })
  }

  /** Closes it in good order. Never rejects. */
  async close(): Promise<void> {
    if (this.#lost) return
    this.#lost = { error: new SluiceError('lifecycle', 'the connection is closed') }
    clearTimeout(this.#watch)
    await this.sql.end({ timeout: CLOSE_TIMEOUT_SECONDS }).catch(() => {})
    for (const socket of this.#sockets) socket.destroy()
  }

  #settled(statement: Statement): void {
    if (!this.#pending.delete(statement) || this.#lost) return
    clearTimeout(this.#watch)
    if (this.#pending.size > 0) this.#watchSilence()
  }

  #watchSilence(): void {
    const ms = this.#silenceMs
    this.#watch = setTimeout(() => this.lose(new NoAnswerError(ms)), ms)
  }

  #client(options: ConnectionOptions): Sql {
    try {
      return postgres(options.url, {
        max: 1,
        connect_timeout: OPEN_TIMEOUT_MS / 1_000,
        idle_timeout: 0,
        // postgres.js would end the connection in the middle of a transaction.
        max_lifetime: 0,
        fetch_types: false,
        socket: (target: SocketTarget) => this.#connect(options, target),
        onnotice: ({ code }) => {
          if (OUT_OF_STEP.has(code ?? '')) this.#outOfStep = true
        },
        connection: {
          application_name: options.applicationName,
          statement_timeout: options.statementTimeoutMs,
          idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs,
          bytea_output: 'hex',
          default_transaction_isolation: 'read committed',
          // What is run outside of a transaction by mistake, because its begin has failed, say, changes nothing.
          default_transaction_read_only: 'on',
        } as Record<string, string | number>,
      } as postgres.Options<Record<string, never>>) as Sql
    } catch {
      // The cause carries the URL, and with it the password.
      throw new SluiceError(
        'options',
        'the database URL is not a URL: write postgres://user:password@host:5432/database',
      )
    }
  }

  /**
   * The first socket is the connection; others only carry a cancel. When the first one closes before it is greeted,
   * postgres.js would try again, and never write what it has to say.
   */
  async #connect(options: ConnectionOptions, target: SocketTarget): Promise<Socket> {
    if (this.#lost) throw this.#lost.error
    const isFirst = this.#connects++ === 0
    const socket = await options.socket(target)
    this.#sockets.add(socket)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      if (isFirst) this.lose(new Error('the connection to PostgreSQL broke'))
    })
    // While the factory waited for its turn.
    const { lost } = this
    if (lost === null) return socket
    socket.destroy()
    throw lost.error
  }
}
