import type { Tx } from '../consumer/tx.ts'
import { SluiceError } from '../errors.ts'
import type { Database, Sql } from '../postgres/database.ts'
import { freedPerSecond } from './freed-rate.ts'
import { isWritable } from './ids.ts'
import { ROOM_DEFAULTS, ROOM_LIMITS, type Room, type RoomSettings } from './room.ts'
import type { RoomBoard } from './room-board.ts'
import type { RoomTurns } from './room-turns.ts'

export interface RoomDeskOptions {
  readonly database: Database
  readonly board: RoomBoard
  readonly turns: RoomTurns
}

const ROOMS_OF_PAGE_MAX = 1_000

interface SettingsRow {
  readonly capacity: number
  readonly lease_ms: number
  readonly claim_ms: number
  readonly wait_grace_ms: number | null
  readonly renewable: boolean
  readonly target_url: string | null
}

interface RoomRow extends SettingsRow {
  readonly event_id: string
  readonly paused: boolean
  readonly active: number
  readonly waiting: number
  readonly granted: number
  readonly freed: number
  readonly freed_weight: number
  readonly freed_age_ms: number | null
  readonly freed_open_ms: number | null
}

/** Rooms as their operators see and change them. What may let somebody in is done together with a turn. */
export class RoomDesk {
  readonly #options: RoomDeskOptions

  constructor(options: RoomDeskOptions) {
    this.#options = options
  }

  /** As `AdmissionDesk.room`. */
  async room(eventId: string): Promise<Room | null> {
    const { database } = this.#options
    if (!isWritable(eventId)) return null
    const [row] = await database.run('reading a room', sql => roomStatement(sql, eventId))
    return row ? roomOf(row) : null
  }

  /** As `AdmissionDesk.rooms`. */
  async rooms(after = ''): Promise<readonly Room[]> {
    const { database } = this.#options
    const from = isWritable(after) ? after : ''
    const rows = await database.run('reading rooms', sql => pageStatement(sql, from))
    return rows.map(roomOf)
  }

  /** As `AdmissionDesk.setRoom`. @throws SluiceError `options` also for a setting out of its bounds */
  async setRoom(eventId: string, settings: Partial<RoomSettings>): Promise<Room> {
    checkRoom(eventId, settings)
    await this.#change('changing a room', eventId, tx => writeRoom(tx, eventId, settings))
    const room = await this.room(eventId)
    if (!room) throw new SluiceError('database', 'the room was removed', { retryable: true })
    return room
  }

  /** As `AdmissionDesk.pauseRoom`. */
  async pauseRoom(eventId: string, paused: boolean): Promise<Room | null> {
    if (!isWritable(eventId)) return null
    await this.#change('pausing or resuming a room', eventId, async tx => {
      await tx`
        update admission.rooms r set paused = ${paused}::boolean
        where r.event_id = ${eventId} and r.paused <> ${paused}::boolean`
    })
    return this.room(eventId)
  }

  async #change(what: string, eventId: string, change: (tx: Tx) => Promise<void>): Promise<void> {
    const { board, turns } = this.#options
    try {
      const { more } = await turns.within(what, eventId, change)
      if (more) await turns.take(eventId)
    } finally {
      board.drop(eventId)
    }
  }
}

/** Index rooms_pkey. */
async function writeRoom(tx: Tx, eventId: string, settings: Partial<RoomSettings>): Promise<void> {
  const find = () => tx<SettingsRow[]>`
    select r.capacity, r.lease_ms, r.claim_ms, r.wait_grace_ms, r.renewable, r.target_url
    from admission.rooms r where r.event_id = ${eventId} for no key update`
  const [row] = await find()
  if (row) return updateRoom(tx, eventId, { ...settingsOf(row), ...given(settings) })
  const { capacity } = settings
  if (capacity === undefined) {
    throw new SluiceError('options', 'capacity is missing: a new room needs one', {
      details: { field: 'capacity' },
    })
  }
  const { leaseMs, claimMs, waitGraceMs, renewable, targetUrl } = {
    ...ROOM_DEFAULTS,
    ...given(settings),
  }
  const { count } = await tx`
    insert into admission.rooms (event_id, capacity, lease_ms, claim_ms, wait_grace_ms, renewable, target_url)
    values (${eventId}, ${capacity}::int, ${leaseMs}::int, ${claimMs}::int, ${waitGraceMs}::int,
      ${renewable}::boolean, ${targetUrl}::text)
    on conflict (event_id) do nothing`
  if (count === 1) return
  // Somebody else has made it meanwhile.
  const [made] = await find()
  if (made) await updateRoom(tx, eventId, { ...settingsOf(made), ...given(settings) })
}

async function updateRoom(tx: Tx, eventId: string, settings: RoomSettings): Promise<void> {
  const { capacity, leaseMs, claimMs, waitGraceMs, renewable, targetUrl } = settings
  await tx`
    update admission.rooms r
    set capacity = ${capacity}::int, lease_ms = ${leaseMs}::int, claim_ms = ${claimMs}::int,
      wait_grace_ms = ${waitGraceMs}::int, renewable = ${renewable}::boolean, target_url = ${targetUrl}::text
    where r.event_id = ${eventId}`
}

function settingsOf(row: SettingsRow): RoomSettings {
  return {
    capacity: row.capacity,
    leaseMs: row.lease_ms,
    claimMs: row.claim_ms,
    waitGraceMs: row.wait_grace_ms,
    renewable: row.renewable,
    targetUrl: row.target_url,
  }
}

/** Without what is there as undefined. */
function given(settings: Partial<RoomSettings>): Partial<RoomSettings> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
}

function roomColumns(sql: Sql) {
  return sql`
    r.event_id, r.capacity, r.lease_ms, r.claim_ms, r.wait_grace_ms, r.renewable, r.target_url, r.paused, r.active,
    r.granted::float8, r.freed::float8, r.freed_weight,
    extract(epoch from clock_timestamp() - r.freed_at)::float8 * 1000 as freed_age_ms,
    extract(epoch from clock_timestamp() - r.freed_since)::float8 * 1000 as freed_open_ms,
    (
      select count(*)::int from admission.sessions s
      where s.status = 'WAITING' and s.seq > r.passed_seq and s.event_id = r.event_id
    ) as waiting`
}

/** Indexes rooms_pkey and, without the table, sessions_waiting. */
function roomStatement(sql: Sql, eventId: string) {
  return sql<RoomRow[]>`
    select ${roomColumns(sql)} from admission.rooms r where r.event_id = ${eventId}`
}

/** As above. */
function pageStatement(sql: Sql, after: string) {
  return sql<RoomRow[]>`
    select ${roomColumns(sql)} from admission.rooms r
    where r.event_id > ${after}
    order by r.event_id
    limit ${ROOMS_OF_PAGE_MAX}::int`
}

function roomOf(row: RoomRow): Room {
  const window = { weight: row.freed_weight, ageMs: row.freed_age_ms, openMs: row.freed_open_ms }
  return {
    eventId: row.event_id,
    ...settingsOf(row),
    paused: row.paused,
    active: row.active,
    waiting: row.waiting,
    granted: row.granted,
    freed: row.freed,
    freedPerSecond: freedPerSecond(window, row.freed),
  }
}

function checkRoom(eventId: string, settings: Partial<RoomSettings>): void {
  checkChars('eventId', eventId, ROOM_LIMITS.eventIdChars)
  for (const field of ['capacity', 'leaseMs', 'claimMs', 'waitGraceMs'] as const) {
    const value = settings[field]
    const { min, max } = ROOM_LIMITS[field]
    const isLeftOut = value === undefined || (value === null && field === 'waitGraceMs')
    if (isLeftOut || (Number.isInteger(value) && Number(value) >= min && Number(value) <= max)) {
      continue
    }
    refuse(field, `must be a whole number from ${min} to ${max}`)
  }
  const { renewable, targetUrl } = settings
  if (renewable !== undefined && typeof renewable !== 'boolean') {
    refuse('renewable', 'must be true or false')
  }
  if (targetUrl === undefined || targetUrl === null) return
  checkChars('targetUrl', targetUrl, ROOM_LIMITS.targetUrlChars)
}

function checkChars(field: string, value: unknown, { min, max }: { min: number; max: number }) {
  const isText = typeof value === 'string' && value.length >= min && value.length <= 2 * max
  if (isText && [...value].length <= max && isWritable(value)) return
  refuse(field, `must be ${min} to ${max} characters of well-formed Unicode without NUL`)
}

function refuse(field: string, complaint: string): never {
  throw new SluiceError('options', `${field} ${complaint}`, { details: { field } })
}
