import { Gathering } from '../internal/gathering.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import type { Database, Sql } from '../postgres/database.ts'
import { freedPerSecond } from './freed-rate.ts'
import { TooBusy } from './too-busy.ts'

/**
 * Places are counted by blocks: those of whole blocks here, once for all, those within a block for each session. Of
 * 20,000 who wait, a look took 11 µs of PostgreSQL's time with 64 places and 60 µs with 256, before a vacuum; 8 and
 * 18 µs after it.
 */
export const BLOCK_PLACES = 64

/** What sessions of a room have in common, as it was when it was read. */
export interface BoardedRoom {
  readonly leaseMs: number
  readonly waitGraceMs: number | null
  readonly renewable: boolean
  readonly targetUrl: string | null
  readonly paused: boolean
  readonly freedPerSecond: number | null
  /** How many wait before the block of this place. Of places given since, all are thought to wait. */
  readonly waitingBefore: (seq: number) => number
}

interface Entry {
  readonly room: BoardedRoom
  readonly readMs: number
  readonly validMs: number
  askedMs: number
}

interface BoardRow {
  readonly event_id: string
  readonly lease_ms: number
  readonly wait_grace_ms: number | null
  readonly renewable: boolean
  readonly target_url: string | null
  readonly paused: boolean
  readonly last_seq: number
  readonly freed: number
  readonly freed_weight: number
  readonly freed_age_ms: number | null
  readonly freed_open_ms: number | null
  /** `[block, how many wait in it]`, ascending. */
  readonly blocks: readonly (readonly [number, number])[]
}

const VALID_MS_MIN = 1_000
/** Reading takes no more than a twentieth of the time. */
const VALID_TIMES_COST = 20
/** For so long the old one still does while it is read again. */
const LATE_MS_MAX = 500
const FORGOTTEN_AFTER_MS = 60_000
const ROOMS_OF_STATEMENT_MAX = 50
const ROOMS_WAITING_MAX = 20_000

/** The rooms that somebody asks about, read at most once a second each, and less often when that takes long. */
export class RoomBoard {
  readonly #database: Database
  readonly #rooms = new Map<string, Entry>()
  readonly #reading = new Map<string, Promise<BoardedRoom | null>>()
  readonly #reads: Gathering<string, BoardedRoom | null>
  #sweptMs = monotonicMs()

  constructor(database: Database) {
    this.#database = database
    this.#reads = new Gathering({
      what: 'reading rooms',
      batchMax: ROOMS_OF_STATEMENT_MAX,
      batchesMax: 1,
      waitingMax: ROOMS_WAITING_MAX,
      onFull: () =>
        new TooBusy(`more than ${ROOMS_WAITING_MAX} rooms are asked about at once`, 1_000),
      run: ids => this.#read(ids),
    })
  }

  /** Null: no such room. @throws SluiceError `database`, TooBusy */
  async of(eventId: string): Promise<BoardedRoom | null> {
    this.#forget()
    const entry = this.#rooms.get(eventId)
    const nowMs = monotonicMs()
    if (!entry) return this.#readAgain(eventId)
    entry.askedMs = nowMs
    const lateMs = nowMs - entry.readMs - entry.validMs
    if (lateMs < 0) return entry.room
    const again = this.#readAgain(eventId)
    if (lateMs > LATE_MS_MAX) return again
    // Whoever asks once it is too late learns what is wrong.
    again.catch(() => {})
    return entry.room
  }

  /** What was read is not used any more. */
  drop(eventId: string): void {
    this.#rooms.delete(eventId)
    this.#reading.delete(eventId)
  }

  /** Never rejects. */
  async stop(): Promise<void> {
    await this.#reads.stop()
  }

  #readAgain(eventId: string): Promise<BoardedRoom | null> {
    const known = this.#reading.get(eventId)
    if (known) return known
    const reading = this.#reads.add(eventId).finally(() => {
      if (this.#reading.get(eventId) === reading) this.#reading.delete(eventId)
    })
    this.#reading.set(eventId, reading)
    return reading
  }

  async #read(ids: readonly string[]): Promise<(BoardedRoom | null)[]> {
    const startedMs = monotonicMs()
    const readings = ids.map(id => this.#reading.get(id))
    const rows = await this.#database.run('reading rooms', sql => boardStatement(sql, ids))
    const readMs = monotonicMs()
    const validMs = Math.max(VALID_MS_MIN, (readMs - startedMs) * VALID_TIMES_COST)
    const found = new Map(rows.map(row => [row.event_id, roomOf(row)]))
    return ids.map((id, index) => {
      const room = found.get(id) ?? null
      // One that was dropped meanwhile may have been changed since.
      const isCurrent = this.#reading.get(id) === readings[index]
      if (room && isCurrent)
        this.#rooms.set(id, { room, readMs: startedMs, validMs, askedMs: readMs })
      return room
    })
  }

  #forget(): void {
    const nowMs = monotonicMs()
    if (nowMs - this.#sweptMs < FORGOTTEN_AFTER_MS) return
    this.#sweptMs = nowMs
    for (const [id, { askedMs }] of this.#rooms) {
      if (nowMs - askedMs > FORGOTTEN_AFTER_MS) this.#rooms.delete(id)
    }
  }
}

/** Indexes rooms_pkey and, without the table, sessions_waiting. */
export function boardStatement(sql: Sql, ids: readonly string[]) {
  return sql<BoardRow[]>`
    select r.event_id, r.lease_ms, r.wait_grace_ms, r.renewable, r.target_url, r.paused, r.last_seq::float8,
      r.freed::float8, r.freed_weight,
      extract(epoch from clock_timestamp() - r.freed_at)::float8 * 1000 as freed_age_ms,
      extract(epoch from clock_timestamp() - r.freed_since)::float8 * 1000 as freed_open_ms,
      coalesce((
        select json_agg(json_build_array(b.block, b.waiting) order by b.block)
        from (
          select s.seq / ${BLOCK_PLACES}::int as block, count(*) as waiting from admission.sessions s
          where s.status = 'WAITING' and s.seq > r.passed_seq and s.event_id = r.event_id
          group by 1
        ) b
      ), '[]') as blocks
    from admission.rooms r
    where r.event_id in (select jsonb_array_elements_text(${JSON.stringify(ids)}::text::jsonb))`
}

function roomOf(row: BoardRow): BoardedRoom {
  const window = {
    weight: row.freed_weight,
    ageMs: row.freed_age_ms,
    openMs: row.freed_open_ms,
  }
  return {
    leaseMs: row.lease_ms,
    waitGraceMs: row.wait_grace_ms,
    renewable: row.renewable,
    targetUrl: row.target_url,
    paused: row.paused,
    freedPerSecond: freedPerSecond(window, row.freed),
    waitingBefore: counterOf(row.blocks, row.last_seq),
  }
}

/** @param lastSeq the highest place when the blocks were counted */
function counterOf(blocks: BoardRow['blocks'], lastSeq: number): (seq: number) => number {
  const sums = new Map<number, number>()
  let sum = 0
  for (const [block, waiting] of blocks) {
    sums.set(block, sum)
    sum += waiting
  }
  return seq => {
    const block = Math.floor(seq / BLOCK_PLACES)
    const givenSince = Math.max(0, block * BLOCK_PLACES - 1 - lastSeq)
    // A block that was not counted is behind all those that were.
    return (sums.get(block) ?? sum) + givenSince
  }
}
