import type { ConsumerListener } from '../consumer/consumer-events.ts'
import type { Tx } from '../consumer/tx.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import type { TransactionPool } from '../postgres/transaction-pool.ts'
import { PRUNED_ROWS_MAX, pruneEnded, pruneHolds, pruneInbox } from './prune-rows.ts'
import { FIRST_KEY, type KeyCursor, repairKeys } from './repair-keys.ts'
import { EXPIRED_TASKS_MAX, sweepExpired } from './sweep-expired.ts'

export interface SweeperOptions {
  readonly pool: TransactionPool
  readonly group: string
  readonly controlTopic: string | null
  /** How long the inbox remembers ids; null: for ever. */
  readonly inboxRetentionMs: number | null
  readonly onEvent: ConsumerListener
  /** Default 5,000. */
  readonly everyMs?: number
  /** How often rows that are not needed any more are deleted. Default 60,000. */
  readonly pruneEveryMs?: number
  /** How long a task that expired or was removed stays to be looked at. Default: seven days. */
  readonly endedRetentionMs?: number
}

const DEFAULTS = { everyMs: 5_000, pruneEveryMs: 60_000, endedRetentionMs: 7 * 86_400_000 }
/** Transactions of one kind in a round: what is left over waits for the next. */
const STEPS_MAX = 20

/**
 * Does in the background what no record and no task brings about: ends what is too old, deletes what is not needed any
 * more, and looks whether each key that waits has something to wait for. Each step is a transaction of its own, and of
 * all members of the group one at a time does it.
 */
export class Sweeper {
  readonly #options: Required<SweeperOptions>
  readonly #stop = new AbortController()
  #cursor: KeyCursor = FIRST_KEY
  #prunedAtMs = Number.NEGATIVE_INFINITY
  /** Resolves once stopped. */
  readonly completed: Promise<void>

  constructor(options: SweeperOptions) {
    this.#options = { ...DEFAULTS, ...options }
    this.completed = this.#loop()
  }

  /** Ends with the step that is in work. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.completed
  }

  async #loop(): Promise<void> {
    const { everyMs, group, onEvent } = this.#options
    while (!this.#stop.signal.aborted) {
      try {
        await this.#round()
      } catch (error) {
        onEvent({ kind: 'store_failed', group, error })
      }
      await pause(everyMs, this.#stop.signal)
    }
  }

  async #round(): Promise<void> {
    const { group, controlTopic, onEvent } = this.#options
    const scope = { group, controlTopic }
    const expired = await this.#steps(EXPIRED_TASKS_MAX, tx => sweepExpired(tx, scope))
    const inboxRows = await this.#prune()
    if (expired + inboxRows > 0) onEvent({ kind: 'swept', group, expired, inboxRows })
    for (let step = 0; step < STEPS_MAX && !this.#stop.signal.aborted; step++) {
      const after = this.#cursor
      const page = await this.#alone(tx => repairKeys(tx, scope, after))
      if (page === null) return
      if (page.repaired > 0) onEvent({ kind: 'repaired', group, keys: page.repaired })
      this.#cursor = page.next ?? FIRST_KEY
      if (page.next === null) return
    }
  }

  /** @returns rows of the inbox that were deleted */
  async #prune(): Promise<number> {
    const { group, inboxRetentionMs, endedRetentionMs, pruneEveryMs } = this.#options
    if (monotonicMs() - this.#prunedAtMs < pruneEveryMs) return 0
    this.#prunedAtMs = monotonicMs()
    await this.#alone(tx => pruneHolds(tx, group))
    await this.#steps(PRUNED_ROWS_MAX, tx => pruneEnded(tx, group, endedRetentionMs))
    if (inboxRetentionMs === null) return 0
    return this.#steps(PRUNED_ROWS_MAX, tx => pruneInbox(tx, group, inboxRetentionMs))
  }

  /** Repeats a step for as long as it has all it can take. @returns rows changed */
  async #steps(full: number, step: (tx: Tx) => Promise<number>): Promise<number> {
    let rows = 0
    for (let n = 0; n < STEPS_MAX && !this.#stop.signal.aborted; n++) {
      const changed = (await this.#alone(step)) ?? 0
      rows += changed
      if (changed < full) break
    }
    return rows
  }

  /** @returns null when another member of the group is at it */
  async #alone<T>(work: (tx: Tx) => Promise<T>): Promise<T | null> {
    const { pool, group } = this.#options
    return pool.transaction(async tx => {
      const [row] = await tx<{ alone: boolean }[]>`
        select pg_try_advisory_xact_lock(hashtextextended(${`waiting_room.sweep/${group}`}::text, 0)) as alone`
      return row?.alone ? work(tx) : null
    })
  }
}
