import { type EventRow, EventRows } from './event-rows.ts'
import type { History } from './history.ts'
import { newLaneRows } from './lane-rows.ts'
import type { Ledger } from './ledger.ts'
import { ServerLog } from './server-log.ts'
import { Transaction } from './transaction.ts'
import type { VirtualTime } from './virtual-time.ts'

/** A row of `outbox.dead_letters`. */
export interface DeadLetter {
  readonly row: EventRow
  readonly reason: string
  readonly attempts: number
  readonly blocksKey: boolean
}

/** A writer's commit that the log has, but that nobody sees yet. */
interface Committing {
  readonly position: number
  readonly show: () => void
}

/** Takes locks and looks at the tables; what it returns is called at its commit and gives the result. */
export type Statement<T> = (transaction: Transaction) => Promise<() => T>

export interface Execution {
  /** Before it looks at anything. */
  readonly beforeMs: number
  /** Between its locks and its commit. */
  readonly holdMs: number
  readonly timeoutMs: number
  readonly writes: boolean
  /** Its backend is ended just before it commits. */
  readonly aborted: boolean
}

const LOG_WRITER_MS = 200

/** The server: its tables, what is under way on it, and what a crash takes away. */
export class PostgresServer {
  readonly log: ServerLog
  readonly events = new EventRows()
  readonly lanes = newLaneRows()
  /** Alive until, by the database's clock. */
  readonly replicas = new Map<string, number>()
  readonly deadLetters = new Map<number, DeadLetter>()
  /** Those that block their keys. */
  readonly blocking = new Set<DeadLetter>()
  readonly pausedLanes = new Set<number>()
  readonly pausedTopics = new Set<string>()
  /** Names of open breakers by replica. */
  readonly breakers = new Map<string, Set<string>>()
  /** Transactions that hold a writer's lock on the events. */
  readonly writers = new Set<string>()
  up = true
  crashes = 0
  readonly #time: VirtualTime
  readonly #history: History
  readonly #ledger: Ledger
  readonly #running = new Set<Transaction>()
  readonly #committing = new Set<Committing>()
  #unflushed: EventRow[] = []

  constructor(time: VirtualTime, history: History, ledger: Ledger) {
    this.#time = time
    this.#history = history
    this.#ledger = ledger
    this.log = new ServerLog(time)
    this.log.flushNowAndThen(LOG_WRITER_MS)
  }

  /** The database's clock, in milliseconds. */
  get nowMs(): number {
    return this.#time.nowMs
  }

  async execute<T>(statement: Statement<T>, execution: Execution): Promise<T> {
    const transaction = new Transaction(this.#time)
    this.#running.add(transaction)
    const timeout = this.#time.after(execution.timeoutMs, 'world', () =>
      transaction.abort('canceling statement due to statement timeout'),
    )
    try {
      await transaction.wait(execution.beforeMs)
      const commit = await statement(transaction)
      await transaction.wait(execution.holdMs)
      if (execution.aborted)
        transaction.abort('terminating connection due to administrator command')
      transaction.check()
      const result = commit()
      // One that only reads leaves no commit record, and so flushes nothing of what others have left.
      if (execution.writes) this.log.flush(this.log.append())
      return result
    } finally {
      timeout.cancelled = true
      this.#running.delete(transaction)
      transaction.release()
    }
  }

  /** A commit that does not wait for the disk: seen at once. */
  showUnflushed(rows: readonly EventRow[]): void {
    this.#show(rows)
    this.#unflushed = this.#unflushed.filter(({ committedAt }) => committedAt > this.log.flushed)
    this.#unflushed.push(...rows)
  }

  /** @returns whether it was committed: the server may crash while it is waited for */
  async showFlushed(rows: readonly EventRow[], flushMs: number, heldMs: number): Promise<boolean> {
    const position = rows[0]!.committedAt
    const { crashes } = this
    let shown = false
    const show = () => {
      shown = true
      this.#committing.delete(committing)
      this.#show(rows)
    }
    const committing = { position, show }
    this.#committing.add(committing)
    await this.#time.sleep(flushMs)
    if (crashes === this.crashes) this.log.flush(position)
    await this.#time.sleep(heldMs)
    if (crashes === this.crashes) show()
    return shown
  }

  bury(dead: DeadLetter): void {
    this.deadLetters.set(dead.row.id, dead)
    if (dead.blocksKey) this.blocking.add(dead)
  }

  exhume(dead: DeadLetter): void {
    this.deadLetters.delete(dead.row.id)
    this.blocking.delete(dead)
  }

  crash(): void {
    this.up = false
    this.crashes++
    this.#history.add('database', `crashes, flushed up to ${this.log.flushed}`)
    for (const transaction of [...this.#running]) transaction.abort('server closed the connection')
    for (const row of this.#unflushed) {
      if (row.committedAt <= this.log.flushed) continue
      // It cannot be gone otherwise: whoever took it away has flushed the log past it.
      if (this.events.find(row.lane, row.id) === row) this.events.remove(row)
      row.record.status = 'lost'
      this.#history.add('database', `loses ${row.record.plan.eventId} id ${row.id}`)
      if (row.record.appends.length > 0) {
        this.#ledger.violation(
          `phantom: ${row.record.plan.eventId} was published, then lost by a crash`,
        )
      }
    }
    this.#unflushed = []
    this.writers.clear()
    for (const { position, show } of [...this.#committing]) {
      if (position <= this.log.flushed) show()
    }
    this.#committing.clear()
    this.log.crash()
  }

  recover(): void {
    this.up = true
    this.#history.add('database', `is back, last id ${this.log.lastId}`)
  }

  #show(rows: readonly EventRow[]): void {
    for (const row of rows) {
      this.events.insert(row)
      row.record.status = 'committed'
      row.record.visibleAtMs = this.#time.nowMs
    }
  }
}
