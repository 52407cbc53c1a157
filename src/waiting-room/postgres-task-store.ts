import { CommitInDoubt } from '../consumer/delivery-store.ts'
import { HEADERS } from '../consumer/message.ts'
import type { Tx } from '../consumer/tx.ts'
import { SluiceError } from '../errors.ts'
import type { Database } from '../postgres/database.ts'
import type { TransactionPool } from '../postgres/transaction-pool.ts'
import { claimStatement } from './claim-tasks.ts'
import { publishDeadLetter } from './dead-letter-record.ts'
import { leaveKey, lockKey, type WaitingKey } from './key-head.ts'
import { publishCopy } from './record-copy.ts'
import { toClaimedTask } from './task-row.ts'
import {
  buryStatement,
  dropStatement,
  giveBackStatement,
  holdStatement,
  nextDueStatement,
  type Queries,
  renewStatement,
  retryStatement,
  takeOutStatement,
} from './task-statements.ts'
import type { ClaimedTask, ClaimOrder, TaskEnd, TaskStore } from './task-store.ts'

export interface TaskStoreOptions {
  readonly pool: TransactionPool
  readonly database: Database
  readonly group: string
  /** Null: nobody is told what becomes of tasks. */
  readonly controlTopic: string | null
}

/** How a task leaves the room; all in one transaction. */
interface Leaving {
  /** Come first; what they reject with is passed on as it is. */
  readonly effects?: (tx: Tx) => Promise<void>
  readonly publish?: (tx: Tx) => Promise<void>
  /** One statement. @returns no row when the claim was lost */
  readonly end: (tx: Tx) => PromiseLike<readonly unknown[]>
}

const NOTHING = async () => {}

/** Undoes a transaction whose claim was lost. */
class Fenced extends Error {
  override readonly name = 'Fenced'
}

/**
 * The tasks of one group in `waiting_room`. Every change names the claim's token, and is refused once the lease is
 * over: a worker that was too slow changes nothing, its effects neither. Locks are taken in the order inbox, keys,
 * tasks; a handler runs before any of them, so that nobody who parks a record waits for a handler.
 */
export class PostgresTaskStore implements TaskStore {
  readonly #pool: TransactionPool
  readonly #database: Database
  readonly #group: string
  readonly #controlTopic: string | null

  constructor({ pool, database, group, controlTopic }: TaskStoreOptions) {
    this.#pool = pool
    this.#database = database
    this.#group = group
    this.#controlTopic = controlTopic
  }

  async claim(order: ClaimOrder): Promise<ClaimedTask[]> {
    const rows = await this.#database.run('claiming tasks', sql =>
      claimStatement(sql, this.#group, order),
    )
    const nowMs = Date.now()
    return rows.map(row => toClaimedTask(row, nowMs)).sort((a, b) => b.lateMs - a.lateMs)
  }

  async complete(task: ClaimedTask, handle: (tx: Tx) => Promise<void>): Promise<boolean> {
    return this.#leave(task, {
      effects: handle,
      end: tx => takeOutStatement(tx, task, 'twr.completed', this.#controlTopic),
    })
  }

  async reproduce(task: ClaimedTask): Promise<boolean> {
    const { record, retryTopic: topic, messageId } = task
    if (topic === null) throw new Error(`task ${task.id} has no retry topic`)
    const headers = {
      // The claim that brought it here counted one that the handler has never seen.
      [HEADERS.attempt]: String(task.attempts - 1),
      [HEADERS.replayOf]: messageId,
    }
    return this.#leave(task, {
      publish: tx => publishCopy(tx, { record, topic, headers, eventId: null }),
      end: tx => takeOutStatement(tx, task, 'twr.reproduced', this.#controlTopic),
    })
  }

  async end(task: ClaimedTask, end: TaskEnd): Promise<boolean> {
    const controlTopic = this.#controlTopic
    switch (end.kind) {
      case 'retry':
        return this.#change('putting a task back', sql =>
          retryStatement(sql, task, end, controlTopic),
        )
      case 'hold':
        return this.#change('holding a task', sql => holdStatement(sql, task, end, controlTopic))
      case 'give_back':
        return this.#change('giving a task back', sql =>
          giveBackStatement(sql, task, end.due, controlTopic),
        )
      case 'dead':
        return this.#leave(task, {
          publish: async tx => {
            const { deadLetterTopic: topic, reason } = end
            if (topic !== null) await publishDeadLetter(tx, task.record, { topic, reason })
          },
          end: tx => buryStatement(tx, task, end.reason, controlTopic),
        })
      case 'drop':
        return this.#leave(task, { end: tx => dropStatement(tx, task, end, controlTopic) })
    }
  }

  async renew(task: ClaimedTask, leaseMs: number): Promise<boolean> {
    return this.#change('renewing a task', sql => renewStatement(sql, task, leaseMs))
  }

  async nextDueInMs(): Promise<number | null> {
    const [row] = await this.#database.run('reading when the next task is due', sql =>
      nextDueStatement(sql as unknown as Queries, this.#group),
    )
    return row ? Math.max(0, row.in_ms) : null
  }

  async #change(
    what: string,
    statement: (sql: Queries) => PromiseLike<readonly unknown[]>,
  ): Promise<boolean> {
    const rows = await this.#database.run(what, sql => statement(sql as unknown as Queries))
    return rows.length > 0
  }

  async #leave(
    task: ClaimedTask,
    { effects = NOTHING, publish = NOTHING, end }: Leaving,
  ): Promise<boolean> {
    const { topic, key } = task.record
    const head = task.ordered && key !== null ? { group: this.#group, topic, key } : null
    let passed = false
    try {
      await this.#pool.transaction(async tx => {
        await effects(tx).catch(error => {
          passed = true
          throw error
        })
        await publish(tx)
        const rows = head === null ? await end(tx) : await this.#endOfHead(tx, head, end)
        if (rows.length === 0) throw new Fenced()
      })
      return true
    } catch (error) {
      if (error instanceof Fenced) return false
      if (passed || error instanceof SluiceError || error instanceof CommitInDoubt) throw error
      throw new SluiceError('database', 'ending a task failed', { cause: error, retryable: true })
    }
  }

  /** The three go out together: what the last one did for a claim that was lost is rolled back. */
  async #endOfHead(tx: Tx, head: WaitingKey, end: Leaving['end']): Promise<readonly unknown[]> {
    const locked = lockKey(tx, head)
    // postgres.js sends a statement when it is awaited: each by a function of its own, which keeps them in this order.
    const ended = (async () => end(tx))()
    const left = leaveKey(tx, head, this.#controlTopic)
    const [, rows] = await Promise.all([locked, ended, left])
    return rows
  }
}
