import type { Tx } from '../consumer/tx.ts'
import { ConnectionSet } from './connection-set.ts'
import { Transaction } from './transaction.ts'

export interface TransactionPoolOptions {
  readonly url: string
  readonly applicationName: string
  readonly connectionsMax: number
  /** The server ends a statement after this time. */
  readonly statementTimeoutMs: number
  /** The server ends a transaction that does nothing for this time. */
  readonly idleInTransactionTimeoutMs: number
}

/**
 * Transactions on connections of their own. A connection that broke is thrown away with its client: postgres.js 3.4.9
 * writes to a socket that is gone when a transaction's statement comes after its close, which ends the process.
 */
export interface TransactionPool {
  /**
   * begin, `work`, commit; rollback if `work` rejects, and its rejection is passed on as it is. Once `signal` is
   * aborted the transaction is rolled back, its `Tx` refuses statements, and this rejects, whatever `work` does.
   * @throws SluiceError `database`: no connection, or the connection broke; `lifecycle`: given up, stopped, or `work`
   *   has ended the transaction by itself; NotCommitted: `work` ignored that a statement failed, or the server refused
   *   the commit for what was done; CommitInDoubt
   */
  transaction<T>(work: (tx: Tx) => Promise<T>, options?: { signal?: AbortSignal }): Promise<T>
  stop(): Promise<void>
}

/** Opens no connection yet. */
export function openTransactionPool(options: TransactionPoolOptions): TransactionPool {
  return new PostgresTransactionPool(options)
}

class PostgresTransactionPool implements TransactionPool {
  readonly #connections: ConnectionSet

  constructor(options: TransactionPoolOptions) {
    this.#connections = new ConnectionSet(options)
  }

  async transaction<T>(
    work: (tx: Tx) => Promise<T>,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<T> {
    const connection = await this.#connections.take(signal)
    try {
      return await new Transaction(connection).run(work, signal)
    } finally {
      this.#connections.giveBack(connection)
    }
  }

  stop(): Promise<void> {
    return this.#connections.stop()
  }
}
