import type { Sql } from '../postgres/database.ts'

/** Overdue leases that are looked at in one round. */
const OVERDUE_MAX = 1_000

/**
 * Rooms whose turn would change something: with overdue leases, or with free places and somebody who waits. All rooms
 * are looked at, but the sessions only of those where somebody may wait, from the place on at which that may be.
 * Indexes sessions_active, rooms_pkey, sessions_waiting.
 */
export function dueRoomsStatement(sql: Sql) {
  return sql<{ event_id: string }[]>`
    with overdue as materialized (
      select s.event_id from admission.sessions s
      where s.status = 'ACTIVE' and s.lease_until <= (select clock_timestamp())
      order by s.lease_until, s.event_id
      limit ${OVERDUE_MAX}::int
    ), crowded as materialized (
      select r.event_id from admission.rooms r
      where not r.paused and r.active < r.capacity and r.last_seq > r.passed_seq and (
        select true from admission.sessions s
        where s.status = 'WAITING' and s.event_id = r.event_id and s.seq > r.passed_seq
        limit 1
      )
    )
    select event_id from overdue union select event_id from crowded`
}

export interface UnseenRow {
  readonly id: string
  readonly event_id: string
  readonly user_id: string
  readonly unseen: boolean
}

/** The next open sessions behind a user's, and which of them wait unseen for too long. Index sessions_open. */
export function unseenStatement(
  sql: Sql,
  after: { readonly eventId: string; readonly userId: string },
  unseenMs: number,
  limit: number,
) {
  return sql<UnseenRow[]>`
    select s.id::text, s.event_id, s.user_id,
      s.status = 'WAITING' and s.seen_at < clock_timestamp() - ${unseenMs}::float8 * interval '1 ms' as unseen
    from admission.sessions s
    where s.status in ('WAITING', 'ACTIVE') and (s.user_id, s.event_id) > (${after.userId}, ${after.eventId})
    order by s.user_id, s.event_id
    limit ${limit}::int`
}

/** Deletes what ended long ago. Index sessions_ended_at. */
export function deleteEndedStatement(sql: Sql, retentionMs: number, limit: number) {
  return sql`
    with gone as materialized (
      select s.id from admission.sessions s
      where s.ended_at < (select clock_timestamp() - ${retentionMs}::float8 * interval '1 ms')
      order by s.ended_at
      limit ${limit}::int
      for update skip locked
    )
    delete from admission.sessions s using gone g where s.id = g.id`
}
