import type {
  AdmissionHistory,
  HappeningOf,
  RoomChanged,
  SessionChanged,
  SessionLeft,
} from './history.ts'

/** How long a fault has effects after its end: clients connect again, processes come back. */
const SETTLE_MS = 8_000

/** What one transaction did in one room, by the journal. */
export interface Turn {
  readonly xact: string
  readonly committedMs: number
  readonly sessions: readonly SessionChanged[]
  /** The room's last row in it; null: the room was not written. */
  readonly room: RoomChanged | null
}

/** The history of a campaign, as its rules look at it. */
export class CaseFile {
  readonly history: AdmissionHistory
  /** Of each room, its transactions in the order of their numbers. Making a session is none: it needs no lock. */
  readonly turns: ReadonlyMap<string, readonly Turn[]>
  /** Sessions as they were made, in order. */
  readonly made: readonly SessionChanged[]
  readonly sessions: ReadonlyMap<string, SessionLeft>
  readonly visits: ReadonlyMap<string, HappeningOf<'visited'>>
  readonly #faults: readonly { readonly fromMs: number; readonly toMs: number }[]

  constructor(history: AdmissionHistory) {
    this.history = history
    const changed = history.all('session_changed')
    this.made = changed.filter(({ was }) => was === null)
    this.turns = turnsOf([
      ...changed.filter(({ was }) => was !== null),
      ...history.all('room_changed'),
    ])
    this.sessions = new Map(history.all('session').map(left => [left.sessionId, left]))
    this.visits = new Map(history.all('visited').map(visit => [visit.sessionId, visit]))
    this.#faults = faultsOf(history)
  }

  /** Whether a fault may have had effects within this time. */
  disturbed(fromMs: number, toMs: number): boolean {
    return this.#faults.some(fault => fault.fromMs <= toMs && fault.toMs + SETTLE_MS >= fromMs)
  }
}

/** Values under their names, each in the order in which they came. */
export function grouped<T>(items: Iterable<T>, nameOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const name = nameOf(item)
    const known = groups.get(name)
    if (known) known.push(item)
    else groups.set(name, [item])
  }
  return groups
}

type Row = SessionChanged | RoomChanged

function turnsOf(rows: readonly Row[]): Map<string, Turn[]> {
  const turns = new Map<string, Turn[]>()
  for (const [eventId, own] of grouped(rows, row => row.eventId)) {
    const ordered = own.sort((a, b) => a.n - b.n)
    const found: Turn[] = []
    for (let from = 0; from < ordered.length; ) {
      let to = from
      while (to < ordered.length && ordered[to]?.xact === ordered[from]?.xact) to++
      found.push(turnOf(ordered.slice(from, to)))
      from = to
    }
    turns.set(eventId, found)
  }
  return turns
}

function turnOf(rows: readonly Row[]): Turn {
  const [{ xact, committedMs }] = rows as [Row]
  const rooms = rows.filter(row => row.kind === 'room_changed')
  const sessions = rows.filter(row => row.kind === 'session_changed')
  return { xact, committedMs, sessions, room: rooms.at(-1) ?? null }
}

function faultsOf(history: AdmissionHistory) {
  const ends = new Map(history.all('fault_healed').map(({ id, atMs }) => [id, atMs]))
  return history
    .all('fault_started')
    .map(({ id, atMs }) => ({ fromMs: atMs, toMs: ends.get(id) ?? Number.POSITIVE_INFINITY }))
}
