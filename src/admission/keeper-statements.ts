import type { Sql } from '../postgres/database.ts'

/** Overdue leases that are looked at in one round. */
const OVERDUE_MAX = 1_000

/**
 * Rooms whose turn would change something: with overdue leases, or with free places and somebody who waits. Those that
 * wait are found by leaping from room to room in their index; the limit keeps the rooms from being read as a whole.
 * Indexes sessions_active, sessions_waiting, rooms_pkey.
 */
export function dueRoomsStatement(sql: Sql) {
  return sql<{ event_id: string }[]>`
    with recursive overdue as materialized (
      select s.event_id from admission.sessions s
      where s.status = 'ACTIVE' and s.lease_until <= (select clock_timestamp())
      order by s.lease_until, s.event_id
      limit ${OVERDUE_MAX}::int
    ), crowded as (
      (
        select s.event_id from admission.sessions s
        where s.status = 'WAITING' and s.seq is not null
        order by s.event_id
        limit 1
      )
      union all
      select (
        select s.event_id from admission.sessions s
        where s.status = 'WAITING' and s.seq is not null and s.event_id > c.event_id
        order by s.event_id
        limit 1
      )
      from crowded c
      where c.event_id is not null
    )
    select o.event_id from overdue o
    union
    select r.event_id
    from crowded c
    cross join lateral (
      select r.event_id from admission.rooms r
      where r.event_id = c.event_id and not r.paused and r.active < r.capacity
      limit 1
    ) r`
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
    where s.status in ('WAITING', 'ACTIVE') and (s.event_id, s.user_id) > (${after.eventId}, ${after.userId})
    order by s.event_id, s.user_id
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
