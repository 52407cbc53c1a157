import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import type { Database } from '../postgres/database.ts'
import type { TransactionPool } from '../postgres/transaction-pool.ts'
import { attendStatement } from './attendance.ts'
import { deleteEndedStatement, dueRoomsStatement, unseenStatement } from './keeper-statements.ts'
import { RoomTurns, type TurnListener } from './room-turns.ts'

export interface RoomKeeperOptions {
  readonly database: Database
  readonly pool: TransactionPool
  /** Null: changes are not told. */
  readonly changesTopic: string | null
  /** How often rooms are looked for whose turn it is. Default 250. */
  readonly everyMs?: number
  /** How long a session is kept after its end, and one that waits after it was last seen. */
  readonly sessionRetentionMs: number
  /** How often sessions are looked for that need not be kept. Default 60,000. */
  readonly pruneEveryMs?: number
  readonly onTurn?: TurnListener
  /** Told of each round that failed; the next one follows. */
  readonly onFault: (error: unknown) => void
  /** Aborted: as `stop`. */
  readonly signal?: AbortSignal
}

const DEFAULTS = { everyMs: 250, pruneEveryMs: 60_000 }
const ATTEND_EVERY_MS = 1_000
const BACKOFF_MS_MAX = 1_000
/** Looking for rooms takes no more than a fifth of the time, while a place is still given within a second. */
const PAUSE_TIMES_COST = 4
const PAUSE_MS_MAX = 500
const ROOMS_AT_ONCE_MAX = 4
const TURNS_OF_ROOM_MAX = 20
const SESSIONS_OF_STEP_MAX = 5_000
const STEPS_MAX = 20
const FIRST_USER = { eventId: '', userId: '' }

/**
 * Takes the turns that nobody's request brings about: of rooms with overdue leases, and with free places while somebody
 * waits. Deletes what need not be kept. Any number of keepers may run: a turn that finds nothing to do changes nothing.
 */
export class RoomKeeper {
  readonly #options: RoomKeeperOptions & typeof DEFAULTS
  readonly #turns: RoomTurns
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal
  #attendedAtMs = Number.NEGATIVE_INFINITY
  #prunedAtMs = monotonicMs()
  #after = FIRST_USER
  /** Resolves once stopped; never rejects. */
  readonly completed: Promise<void>

  private constructor(options: RoomKeeperOptions) {
    this.#options = { ...DEFAULTS, ...options }
    this.#turns = new RoomTurns(options)
    const { signal } = options
    this.#signal = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal
    this.completed = this.#loop()
  }

  static start(options: RoomKeeperOptions): RoomKeeper {
    return new RoomKeeper(options)
  }

  /** Ends with the turns that are in work. Safe to call twice; never rejects. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.completed
  }

  async #loop(): Promise<void> {
    const { everyMs, onFault } = this.#options
    for (let faults = 0; !this.#signal.aborted; ) {
      let pauseMs = everyMs
      try {
        await this.#attend()
        const costMs = await this.#giveTurns()
        await this.#prune()
        pauseMs = Math.max(everyMs, Math.min(PAUSE_MS_MAX, costMs * PAUSE_TIMES_COST))
        faults = 0
      } catch (error) {
        if (this.#signal.aborted) break
        faults++
        pauseMs = Math.min(BACKOFF_MS_MAX, everyMs * 2 ** Math.min(faults, 10))
        onFault(error)
      }
      await pause(pauseMs, this.#signal)
    }
    await this.#turns.stop()
  }

  async #attend(): Promise<void> {
    if (monotonicMs() - this.#attendedAtMs < ATTEND_EVERY_MS) return
    await this.#options.database.run('telling that rooms are looked after', attendStatement)
    this.#attendedAtMs = monotonicMs()
  }

  /** @returns what it took to find the rooms */
  async #giveTurns(): Promise<number> {
    const { database } = this.#options
    const startedMs = monotonicMs()
    const rooms = await database.run('looking for rooms whose turn it is', dueRoomsStatement)
    const costMs = monotonicMs() - startedMs
    const due = rooms.map(room => room.event_id)
    const faults: unknown[] = []
    const serve = async () => {
      for (let eventId = due.pop(); eventId !== undefined; eventId = due.pop()) {
        try {
          await this.#serve(eventId)
        } catch (error) {
          faults.push(error)
        }
      }
    }
    await Promise.all(Array.from({ length: ROOMS_AT_ONCE_MAX }, serve))
    if (faults.length > 0) throw faults[0]
    return costMs
  }

  async #serve(eventId: string): Promise<void> {
    for (let turn = 0; turn < TURNS_OF_ROOM_MAX && !this.#signal.aborted; turn++) {
      const { more } = await this.#turns.once(eventId)
      if (!more) return
    }
  }

  async #prune(): Promise<void> {
    const { database, pruneEveryMs, sessionRetentionMs: retentionMs } = this.#options
    if (monotonicMs() - this.#prunedAtMs < pruneEveryMs) return
    this.#prunedAtMs = monotonicMs()
    const limit = SESSIONS_OF_STEP_MAX
    for (let step = 0; step < STEPS_MAX && !this.#signal.aborted; step++) {
      const { count } = await database.run('deleting sessions that ended long ago', sql =>
        deleteEndedStatement(sql, retentionMs, limit),
      )
      if (count < limit) break
    }
    for (let step = 0; step < STEPS_MAX && !this.#signal.aborted; step++) {
      if (!(await this.#forgetSome(retentionMs))) break
    }
  }

  /** @returns whether there is more to look at */
  async #forgetSome(unseenMs: number): Promise<boolean> {
    const after = this.#after
    const rows = await this.#options.database.run('looking for sessions that wait unseen', sql =>
      unseenStatement(sql, after, unseenMs, SESSIONS_OF_STEP_MAX),
    )
    const rooms = new Map<string, string[]>()
    for (const { event_id: eventId, id } of rows.filter(({ unseen }) => unseen)) {
      const ids = rooms.get(eventId)
      if (ids) ids.push(id)
      else rooms.set(eventId, [id])
    }
    for (const [eventId, ids] of rooms) {
      await this.#turns.once(eventId, { forgotten: { ids, unseenMs } })
    }
    const last = rows.at(-1)
    const isMore = last !== undefined && rows.length === SESSIONS_OF_STEP_MAX
    this.#after = isMore ? { eventId: last.event_id, userId: last.user_id } : FIRST_USER
    return isMore
  }
}
