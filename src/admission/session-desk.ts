import { Gathering } from '../internal/gathering.ts'
import type { Database } from '../postgres/database.ts'
import { estimatedWaitMs } from './freed-rate.ts'
import { isSessionId } from './ids.ts'
import type { BoardedRoom, RoomBoard } from './room-board.ts'
import type { RoomTurns } from './room-turns.ts'
import type { Session } from './session.ts'
import {
  claimStatement,
  extendStatement,
  readStatement,
  type SessionRow,
  seenStatement,
} from './session-statements.ts'
import { TooBusy } from './too-busy.ts'

export interface SessionDeskOptions {
  readonly database: Database
  readonly board: RoomBoard
  readonly turns: RoomTurns
}

const SESSIONS_OF_STATEMENT_MAX = 500
const STATEMENTS_MAX = 2
const WAITING_MAX = 50_000
/** How often a sign of life is written down, where nobody is passed over for the want of it. */
const SEEN_EVERY_MS = 30_000
/** A session that changes while it is looked at is looked at again, so often. */
const PASSES_MAX = 3

/** Sessions as their visitors see them. What is asked for while statements are under way shares the next one. */
export class SessionDesk {
  readonly #options: SessionDeskOptions
  readonly #looks: Gathering<string, Session | null>
  readonly #beats: Gathering<string, null>

  constructor(options: SessionDeskOptions) {
    this.#options = options
    const limits = {
      batchMax: SESSIONS_OF_STATEMENT_MAX,
      batchesMax: STATEMENTS_MAX,
      waitingMax: WAITING_MAX,
      onFull: () => new TooBusy(`more than ${WAITING_MAX} sessions are asked for at once`, 1_000),
    }
    const look = (ids: readonly string[]) => this.#lookAt(ids)
    this.#looks = new Gathering({ ...limits, what: 'looking at sessions', run: look })
    const extend = (ids: readonly string[]) => this.#extend(ids)
    this.#beats = new Gathering({ ...limits, what: 'extending leases', run: extend })
  }

  /** As `AdmissionDesk.look`. */
  async look(sessionId: string): Promise<Session | null> {
    return isSessionId(sessionId) ? this.#looks.add(sessionId.toLowerCase()) : null
  }

  /** As `AdmissionDesk.heartbeat`. */
  async heartbeat(sessionId: string): Promise<Session | null> {
    if (!isSessionId(sessionId)) return null
    await this.#beats.add(sessionId.toLowerCase())
    return this.look(sessionId)
  }

  /** As `AdmissionDesk.leave`. */
  async leave(sessionId: string): Promise<Session | null> {
    const session = await this.look(sessionId)
    if (session?.status !== 'WAITING' && session?.status !== 'ACTIVE') return session
    await this.#options.turns.take(session.eventId, session.sessionId)
    return this.look(sessionId)
  }

  async stop(): Promise<void> {
    await Promise.all([this.#looks.stop(), this.#beats.stop()])
  }

  async #lookAt(ids: readonly string[]): Promise<(Session | null)[]> {
    const seen = new Map<string, SessionRow>()
    let asked: readonly string[] = [...new Set(ids)]
    for (let pass = 1; asked.length > 0; pass++) {
      const rows = await this.#read(asked)
      for (const row of rows) seen.set(row.id, row)
      if (pass === PASSES_MAX) break
      const [, unclaimed, overdue] = await Promise.all([
        this.#noteSeen(rows),
        this.#claim(rows, pass),
        this.#endOverdue(rows),
      ])
      asked = [...unclaimed, ...overdue]
    }
    const rooms = await this.#rooms([...seen.values()])
    return ids.map(id => {
      const row = seen.get(id)
      return row ? sessionOf(row, rooms.get(row.event_id) ?? null) : null
    })
  }

  async #read(ids: readonly string[]): Promise<readonly SessionRow[]> {
    return this.#options.database.run('looking at sessions', sql => readStatement(sql, ids))
  }

  async #rooms(rows: readonly SessionRow[]): Promise<Map<string, BoardedRoom | null>> {
    const ids = [...new Set(rows.map(row => row.event_id))]
    const rooms = await Promise.all(ids.map(id => this.#options.board.of(id)))
    return new Map(ids.map((id, index) => [id, rooms[index] ?? null]))
  }

  /** Four times within the grace, so that being passed over takes more than a poll that was lost. */
  async #noteSeen(rows: readonly SessionRow[]): Promise<void> {
    const waiting = rows.filter(({ status }) => status === 'WAITING')
    if (waiting.length === 0) return
    const rooms = await this.#rooms(waiting)
    const due = waiting.filter(({ event_id: eventId, unseen_ms: unseenMs }) => {
      const graceMs = rooms.get(eventId)?.waitGraceMs ?? null
      return unseenMs >= (graceMs === null ? SEEN_EVERY_MS : graceMs / 4)
    })
    if (due.length === 0) return
    const ids = due.map(({ id }) => id)
    await this.#options.database.run('noting signs of life', sql => seenStatement(sql, ids))
  }

  /** @returns ids of those to be looked at again */
  async #claim(rows: readonly SessionRow[], pass: number): Promise<string[]> {
    const ids = rows.filter(row => row.unclaimed && !row.overdue).map(({ id }) => id)
    // From the second pass on they are those whose rows were locked.
    const portions = pass === 1 && ids.length > 0 ? [ids] : ids.map(id => [id])
    for (const portion of portions) {
      await this.#options.database.run('starting leases', sql => claimStatement(sql, portion))
    }
    return ids
  }

  /** A lease is over when a turn says so, because a heartbeat may come between. @returns as above */
  async #endOverdue(rows: readonly SessionRow[]): Promise<string[]> {
    const overdue = rows.filter(row => row.overdue)
    const rooms = new Set(overdue.map(row => row.event_id))
    await Promise.all([...rooms].map(eventId => this.#options.turns.take(eventId)))
    return overdue.map(({ id }) => id)
  }

  async #extend(ids: readonly string[]): Promise<null[]> {
    const { database } = this.#options
    const asked = [...new Set(ids)]
    const locked = await database.run('extending leases', sql => extendStatement(sql, asked))
    for (const { id } of asked.length > 1 ? locked : []) {
      await database.run('extending a lease', sql => extendStatement(sql, [id]))
    }
    return ids.map(() => null)
  }
}

function sessionOf(row: SessionRow, room: BoardedRoom | null): Session {
  const isNumbered = row.status === 'WAITING' && row.seq !== null
  const position = isNumbered ? positionOf(row, room) : null
  const perSecond = room === null || room.paused ? null : room.freedPerSecond
  return {
    sessionId: row.id,
    eventId: row.event_id,
    userId: row.user_id,
    status: row.status,
    position,
    estimatedWaitMs: position === null ? null : estimatedWaitMs(position, perSecond),
    leaseUntil: row.status === 'ACTIVE' ? row.lease_until : null,
    renewable: room?.renewable ?? false,
    targetUrl: room?.targetUrl ?? null,
  }
}

function positionOf({ seq, ahead }: SessionRow, room: BoardedRoom | null): number {
  return (room?.waitingBefore(seq ?? 0) ?? 0) + (ahead ?? 0) + 1
}
