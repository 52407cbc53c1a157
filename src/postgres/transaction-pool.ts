import type { Tx } from '../consumer/tx.ts'

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
   * @throws SluiceError `database`: no connection, or the connection broke; CommitInDoubt
   */
  transaction<T>(work: (tx: Tx) => Promise<T>, options?: { signal?: AbortSignal }): Promise<T>
  stop(): Promise<void>
}
