import { arrayText } from '../postgres/array-text.ts'
import type { Sql } from '../postgres/database.ts'
import { BLOCK_PLACES } from './room-board.ts'
import type { SessionStatus } from './session.ts'

/** A session as one statement finds it; times by the database's clock. */
export interface SessionRow {
  readonly id: string
  readonly event_id: string
  readonly user_id: string
  readonly status: SessionStatus
  readonly seq: number | null
  /** Of one that waits: how many do so within its block of places, ahead of it. */
  readonly ahead: number | null
  readonly lease_until: Date | null
  /** Active, and not asked for yet. */
  readonly unclaimed: boolean
  /** Active beyond its lease. */
  readonly overdue: boolean
  readonly unseen_ms: number
}

/** Indexes sessions_pkey and, for those who wait, sessions_waiting alone. */
export function readStatement(sql: Sql, ids: readonly string[]) {
  return sql<SessionRow[]>`
    select s.id::text, s.event_id, s.user_id, s.status, s.seq::float8, s.lease_until,
      s.status = 'ACTIVE' and s.claimed_at is null as unclaimed,
      s.status = 'ACTIVE' and s.lease_until <= clock_timestamp() as overdue,
      extract(epoch from clock_timestamp() - s.seen_at)::float8 * 1000 as unseen_ms,
      case when s.status = 'WAITING' and s.seq is not null then (
        select count(*)::int from admission.sessions w
        where w.status = 'WAITING' and w.seq is not null and w.event_id = s.event_id
          and w.seq >= s.seq - s.seq % ${BLOCK_PLACES}::int and w.seq < s.seq
      ) end as ahead
    from unnest(${arrayText(ids)}::text::uuid[]) g (id)
    join admission.sessions s on s.id = g.id`
}

/**
 * The sessions as they are once their rows are locked. With several ids what is locked by others is left out, so that
 * nobody waits for a row while he has another; a single one is waited for. What is asked of a session stands outside, or
 * the planner would now and then find it by another index than sessions_pkey.
 */
function locked(sql: Sql, ids: readonly string[]) {
  const patience = ids.length > 1 ? sql`skip locked` : sql``
  return sql`
    select l.* from unnest(${arrayText(ids)}::text::uuid[]) g (id)
    cross join lateral (
      select s.id, s.event_id, s.status, s.claimed_at, s.lease_until from admission.sessions s
      where s.id = g.id
      for no key update ${patience}
    ) l`
}

/** Whoever has the row of one that is left out tells that the session lives, or ends it. Index sessions_pkey. */
export function seenStatement(sql: Sql, ids: readonly string[]) {
  return sql`
    with found as materialized (${locked(sql, ids)})
    update admission.sessions s set seen_at = clock_timestamp()
    from found f
    where s.id = f.id and f.status = 'WAITING'`
}

/**
 * Starts the leases of those that were let in and are asked for now. Indexes sessions_pkey, rooms_pkey.
 * @returns whose lease has begun
 */
export function claimStatement(sql: Sql, ids: readonly string[]) {
  return sql<{ id: string; lease_until: Date }[]>`
    with found as materialized (${locked(sql, ids)})
    update admission.sessions s
    set claimed_at = clock_timestamp(), seen_at = clock_timestamp(),
      lease_until = clock_timestamp() + r.lease_ms * interval '1 ms'
    from found f join admission.rooms r on r.event_id = f.event_id
    where s.id = f.id and f.status = 'ACTIVE' and f.claimed_at is null and f.lease_until > clock_timestamp()
    returning s.id::text, s.lease_until`
}

/**
 * Extends leases that are not over, in rooms where that is allowed. Indexes sessions_pkey, rooms_pkey.
 * @returns those that were not extended because their rows are locked
 */
export function extendStatement(sql: Sql, ids: readonly string[]) {
  return sql<{ id: string }[]>`
    with found as materialized (${locked(sql, ids)}), extended as (
      update admission.sessions s
      set claimed_at = coalesce(s.claimed_at, clock_timestamp()), seen_at = clock_timestamp(),
        lease_until = greatest(s.lease_until, clock_timestamp() + r.lease_ms * interval '1 ms')
      from found f join admission.rooms r on r.event_id = f.event_id
      where s.id = f.id and f.status = 'ACTIVE' and r.renewable and f.lease_until > clock_timestamp()
    )
    select g.id::text
    from unnest(${arrayText(ids)}::text::uuid[]) g (id)
    join admission.sessions s on s.id = g.id
    where g.id not in (select id from found)`
}
