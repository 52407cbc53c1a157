import postgres from 'postgres'
import { CommitInDoubt } from '../consumer/delivery-store.ts'
import type { Tx } from '../consumer/tx.ts'
import { SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { NoAnswerError } from './connection-fault.ts'
import { guardedTx, type Statement } from './guarded-tx.ts'
import type { SingleConnection } from './single-connection.ts'
import { isUnwritable } from './statement-fault.ts'

const BEGIN = 'begin isolation level read committed read write'
const ROLLBACK_PATIENCE_MS = 250
const ROLLBACK_TIMEOUT_MS = 5_000
/** Tags of statements by which a handler would end the transaction under us. */
const ENDS = new Set(['BEGIN', 'START TRANSACTION', 'COMMIT', 'PREPARE TRANSACTION'])

/** Nothing of the transaction is there, by the fault of what was done in it; the cause tells. */
export class NotCommitted extends Error {
  override readonly name = 'NotCommitted'
}

/**
 * One transaction on a connection: open → ended. `begin` goes out together with the first statement.
 * When `run` has settled, no statement of it is in work any more, or the connection is lost.
 */
export class Transaction {
  readonly #connection: SingleConnection
  readonly #tx: Tx
  /** Why it takes no more statements; null while it is open. */
  #ended: string | null = null
  #stepped = false
  #savepoints = 0
  #savepointsOpen = 0
  #failure: unknown

  constructor(connection: SingleConnection) {
    this.#connection = connection
    const gate = (statement: Statement, send: () => void) => this.#admit(statement, send)
    const savepoint = (work: (tx: Tx) => Promise<unknown>) => this.#savepoint(work)
    this.#tx = guardedTx(connection.sql, gate, { savepoint }) as Tx
  }

  /** As `TransactionPool.transaction`. */
  async run<T>(work: (tx: Tx) => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) throw givenUp(signal.reason)
    const begun = this.#begin()
    let result: T
    try {
      result = await this.#worked(work, begun, signal)
      this.#ended = 'it has ended'
      this.#check()
    } catch (error) {
      this.#ended ??= 'it was given up'
      const { lost } = this.#connection
      if (lost) throw broken(lost.error)
      await this.#rollback()
      throw error
    }
    await this.#commit(begun)
    return result
  }

  async #begin(): Promise<SluiceError | null> {
    try {
      await this.#connection.run(BEGIN)
      return null
    } catch (cause) {
      const text = 'a transaction could not be begun'
      return new SluiceError('database', text, { cause, retryable: true })
    }
  }

  /** What `work` comes to, unless something interrupts it: then its handler may go on, but without the transaction. */
  async #worked<T>(
    work: (tx: Tx) => Promise<T>,
    begun: Promise<SluiceError | null>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    let interrupt: (error: unknown) => void = () => {}
    const interrupted = new Promise<never>((_, reject) => {
      interrupt = reject
    })
    const offLost = this.#connection.onLost(error => interrupt(error))
    const onAbort = () => interrupt(givenUp(signal?.reason))
    signal?.addEventListener('abort', onAbort)
    void begun.then(error => error && interrupt(error))
    try {
      return await Promise.race([interrupted, this.#called(work)])
    } finally {
      offLost()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async #called<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return work(this.#tx)
  }

  #admit(statement: Statement, send: () => void): void {
    if (this.#ended !== null) {
      statement.catch(() => {})
      statement.reject(
        new SluiceError('lifecycle', `the transaction takes no more statements: ${this.#ended}`),
      )
      return
    }
    this.#connection.submit(statement, send)
    statement.then(
      result => {
        if (endsTransaction(result)) this.#stepped = true
      },
      error => {
        this.#failure ??= error
      },
    )
  }

  async #savepoint<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const name = `kit_${++this.#savepoints}`
    const failure = this.#failure
    this.#savepointsOpen++
    // Not awaited: it goes out together with what follows.
    const set = this.#tx.unsafe(`savepoint ${name}`).execute()
    try {
      const result = await this.#called(work)
      await this.#tx.unsafe(`release savepoint ${name}`)
      return result
    } catch (error) {
      const first = this.#failure === failure ? error : (this.#failure ?? error)
      if (await this.#undone(name, set)) this.#failure = failure
      throw codeOf(error) === '25P02' ? first : error
    } finally {
      this.#savepointsOpen--
    }
  }

  async #undone(name: string, set: PromiseLike<unknown>): Promise<boolean> {
    try {
      await set
      await this.#tx.unsafe(`rollback to savepoint ${name}`)
      return true
    } catch {
      // The transaction is broken as a whole; its commit will not succeed.
      return false
    }
  }

  /** What a handler must not leave behind when it says that it is done. */
  #check(): void {
    if (this.#savepointsOpen > 0) {
      throw new SluiceError('lifecycle', 'a savepoint was not awaited: await it in the handler')
    }
    if (this.#stepped || this.#connection.outOfStep) throw steppedOut()
  }

  /** What is in work may end by itself, a moment; then the server is asked to end it. */
  async #rollback(): Promise<void> {
    const connection = this.#connection
    const answer = connection.run('rollback')
    const none = () => new NoAnswerError(ROLLBACK_TIMEOUT_MS)
    const patience = setTimeout(() => connection.cancelPending(), ROLLBACK_PATIENCE_MS)
    try {
      await withDeadline(answer, ROLLBACK_TIMEOUT_MS, none)
    } catch (error) {
      connection.lose(error)
    } finally {
      clearTimeout(patience)
    }
  }

  async #commit(begun: Promise<SluiceError | null>): Promise<void> {
    const { lost } = this.#connection
    if (lost) throw broken(lost.error)
    let command: string
    try {
      ;({ command } = await this.#connection.run('commit'))
    } catch (cause) {
      throw commitFailure(cause)
    }
    const error = await begun
    if (error) throw error
    if (this.#stepped || this.#connection.outOfStep) throw steppedOut()
    if (command === 'COMMIT') return
    throw new NotCommitted('a statement had failed, and the handler went on as if it had not', {
      cause: this.#failure,
    })
  }
}

/** Of several statements in one text the answer is a list of theirs. */
function endsTransaction(answer: unknown): boolean {
  const { command } = answer as { command?: unknown }
  if (command !== undefined || !Array.isArray(answer)) return ENDS.has(String(command))
  return answer.some(one => ENDS.has(String((one as { command?: unknown } | null)?.command)))
}

/** A statement that was never written has been refused by its own fault, not by the connection's. */
function broken(error: unknown): unknown {
  if (isUnwritable(error)) return error
  return new SluiceError('database', 'the connection to PostgreSQL broke in a transaction', {
    cause: error,
    retryable: true,
  })
}

/** An answer of the server that is an error says that nothing was committed, unless the server was going down. */
function commitFailure(cause: unknown): unknown {
  const code = String(codeOf(cause))
  const refused =
    cause instanceof postgres.PostgresError && cause.severity === 'ERROR' && !/^(57P|08)/.test(code)
  if (refused) return new NotCommitted('the server refused the commit', { cause })
  return new CommitInDoubt('the commit was sent, and its answer never came', { cause })
}

/** @param reason the signal's */
export function givenUp(reason: unknown): SluiceError {
  return new SluiceError('lifecycle', 'the transaction was rolled back: it was given up', {
    cause: reason,
  })
}

function steppedOut(): SluiceError {
  return new SluiceError(
    'lifecycle',
    'a handler has begun or ended a transaction by a statement of its own: leave that to the kit, use savepoint()',
  )
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code
}
