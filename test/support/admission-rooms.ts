import { randomUUID } from 'node:crypto'
import { type TakeTurn, type TurnReport, takeTurn } from '../../src/admission/room-turn.ts'
import type { SessionStatus } from '../../src/admission/session.ts'
import type { Database, Sql } from '../../src/postgres/database.ts'
import type { TransactionPool } from '../../src/postgres/transaction-pool.ts'
import { applyAdmissionSchema } from './admission-schema.ts'
import { createDatabase } from './database.ts'
import type { Scope } from './parts.ts'
import { connectTo } from './task-room.ts'

export const EVENT = 'concert'
export const CHANGES = 'changes'

export interface AdmissionParts {
  readonly url: string
  readonly sql: Sql
  readonly database: Database
  readonly pool: TransactionPool
}

/** Rooms in a database of their own. */
export async function openAdmission(t: Scope): Promise<AdmissionParts> {
  const { url, sql } = await createDatabase(t)
  await applyAdmissionSchema(sql)
  return { url, sql, ...connectTo(t, url) }
}

export interface MadeRoom {
  readonly eventId?: string
  readonly capacity?: number
  readonly leaseMs?: number
  readonly claimMs?: number
  readonly waitGraceMs?: number | null
  readonly renewable?: boolean
  readonly paused?: boolean
}

export async function makeRoom(sql: Sql, room: MadeRoom = {}): Promise<void> {
  const { eventId = EVENT, capacity = 1, leaseMs = 600_000, claimMs = 60_000 } = room
  const { waitGraceMs = 120_000, renewable = true, paused = false } = room
  await sql`
    insert into admission.rooms (event_id, capacity, lease_ms, claim_ms, wait_grace_ms, renewable, paused)
    values (${eventId}, ${capacity}, ${leaseMs}, ${claimMs}, ${waitGraceMs}, ${renewable}, ${paused})`
}

/** Sessions that wait and have no place yet. @returns their ids */
export async function putSessions(
  sql: Sql,
  users: number | readonly string[],
  { eventId = EVENT, unseenMs = 0 }: { eventId?: string; unseenMs?: number } = {},
): Promise<string[]> {
  const names = typeof users === 'number' ? Array.from({ length: users }, randomUUID) : users
  const given = names.map((user, n) => ({ n, id: randomUUID(), user }))
  await sql`
    insert into admission.sessions (id, event_id, user_id, seen_at)
    select g.id, ${eventId}, g.user, clock_timestamp() - ${unseenMs}::float8 * interval '1 ms'
    from jsonb_to_recordset(${JSON.stringify(given)}::text::jsonb) as g (n int, id uuid, "user" text)
    order by n`
  return given.map(({ id }) => id)
}

/** A turn in a transaction of its own. */
export function turn(
  { pool }: Pick<AdmissionParts, 'pool'>,
  work: TakeTurn & { eventId?: string } = {},
): Promise<TurnReport> {
  const { eventId = EVENT, ...rest } = work
  return pool.transaction(tx => takeTurn(tx, eventId, rest))
}

/** As they stand in the log: one after the other, from the offset on. */
export function joinsOf(
  ids: readonly string[],
  from = 0,
): { sessionId: string; partition: number; offset: bigint }[] {
  return ids.map((sessionId, n) => ({ sessionId, partition: 0, offset: BigInt(from + n) }))
}

export interface SessionFacts {
  readonly id: string
  readonly status: SessionStatus
  readonly seq: number | null
  readonly log_offset: number | null
  readonly claimed: boolean
  /** From now. */
  readonly lease_ms: number | null
  readonly unseen_ms: number
  readonly ended: boolean
}

/** In the order of the ids given. */
export async function factsOf(sql: Sql, ids: readonly string[]): Promise<SessionFacts[]> {
  const rows = await sql<SessionFacts[]>`
    select s.id::text, s.status, s.seq::float8, s.log_offset::float8, s.claimed_at is not null as claimed,
      extract(epoch from s.lease_until - clock_timestamp())::float8 * 1000 as lease_ms,
      extract(epoch from clock_timestamp() - s.seen_at)::float8 * 1000 as unseen_ms, s.ended_at is not null as ended
    from unnest(${`{${ids.join(',')}}`}::text::uuid[]) g (id) join admission.sessions s on s.id = g.id`
  const found = new Map(rows.map(row => [row.id, row]))
  return ids.flatMap(id => found.get(id) ?? [])
}

export async function statusesOf(sql: Sql, ids: readonly string[]): Promise<SessionStatus[]> {
  return (await factsOf(sql, ids)).map(({ status }) => status)
}

export interface RoomFacts {
  readonly active: number
  readonly last_seq: number
  readonly granted: number
  readonly freed: number
}

export async function roomOf(sql: Sql, eventId = EVENT): Promise<RoomFacts> {
  const [row] = await sql<RoomFacts[]>`
    select active, last_seq::float8, granted::float8, freed::float8 from admission.rooms where event_id = ${eventId}`
  return row!
}

/** Ends the leases of sessions, or of all that are active, as if their time had passed. */
export async function endLeases(sql: Sql, ids: readonly string[]): Promise<void> {
  await sql`
    update admission.sessions s set lease_until = clock_timestamp() - interval '1 ms'
    from unnest(${`{${ids.join(',')}}`}::text::uuid[]) g (id) where s.id = g.id`
}

/** As if they had not been seen for so long. */
export async function lastSeen(sql: Sql, ids: readonly string[], agoMs: number): Promise<void> {
  await sql`
    update admission.sessions s set seen_at = clock_timestamp() - ${agoMs}::float8 * interval '1 ms'
    from unnest(${`{${ids.join(',')}}`}::text::uuid[]) g (id) where s.id = g.id`
}
