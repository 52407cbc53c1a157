import type { Tx } from '../consumer/tx.ts'
import { BREAK_MS } from './attendance.ts'

/** A join as it was read from the log. */
export interface NumberedJoin {
  readonly sessionId: string
  readonly partition: number
  readonly offset: bigint
}

export interface TurnLimits {
  readonly grantsMax: number
  readonly passedMax: number
  readonly endsMax: number
}

/** The room as its turn finds it; times by the database's clock. */
export interface LockedRoom {
  readonly capacity: number
  readonly claim_ms: number
  /** Null: nobody is passed over, for now or at all. */
  readonly grace_ms: number | null
  readonly paused: boolean
  readonly active: number
  readonly last_seq: number
  readonly passed_seq: number
  readonly freed_weight: number
  readonly freed_age_ms: number | null
  readonly freed_open_ms: number | null
  /** When the lock was had, with microseconds. A parameter can be looked up in an index, a clock cannot. */
  readonly now: string
}

/** A session whose status has changed. */
export interface Changed {
  readonly id: string
  readonly user_id: string
  readonly status: 'ACTIVE' | 'LEFT' | 'EXPIRED' | 'ABANDONED'
  /** Whether a place is freed by it. */
  readonly was_active: boolean
  readonly seq: number | null
}

/** Order of leases is by time, of those who wait by place: both are read from their indexes, whatever statistics say. */
export function planByIndex(tx: Tx) {
  return tx`
    select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
      set_config('enable_sort', 'off', true)`
}

/**
 * Waits for the room's row and keeps it. The clock is read by an outer query: what stands beside the row itself is
 * computed before the wait. Who could not be seen, because nobody was there to look, has until the grace is over from then
 * on. Indexes rooms_pkey, attendance_pkey.
 */
export function lockStatement(tx: Tx, eventId: string) {
  return tx<LockedRoom[]>`
    with locked as materialized (
      select * from admission.rooms r where r.event_id = ${eventId} for no key update
    )
    select l.capacity, l.claim_ms, l.paused, l.active, l.last_seq::float8, l.passed_seq::float8, l.freed_weight,
      case when not exists (
        select from admission.attendance a
        where a.since > clock_timestamp() - l.wait_grace_ms * interval '1 ms'
          or a.beat_at < clock_timestamp() - ${BREAK_MS}::float8 * interval '1 ms'
      ) then l.wait_grace_ms end as grace_ms,
      extract(epoch from clock_timestamp() - l.freed_at)::float8 * 1000 as freed_age_ms,
      extract(epoch from clock_timestamp() - l.freed_since)::float8 * 1000 as freed_open_ms,
      clock_timestamp()::text as now
    from locked l`
}

/**
 * Gives places in the order of the log to those that have none. Where the join lies is kept also of one that does not
 * wait any more. Index sessions_pkey.
 */
export function numberStatement(tx: Tx, eventId: string, joins: readonly NumberedJoin[]) {
  const given = JSON.stringify(
    joins.map(({ sessionId, partition, offset }) => ({
      id: sessionId,
      partition,
      log_offset: String(offset),
    })),
  )
  return tx<{ unknown: number; numbered: number }[]>`
    with given as materialized (
      select g.id, g.partition, g.log_offset
      from jsonb_to_recordset(${given}::text::jsonb) as g (id uuid, partition int, log_offset bigint)
    ), found as materialized (
      select g.*, s.status, s.log_offset is null as is_new
      from given g join admission.sessions s on s.id = g.id
      where s.event_id = ${eventId}
    ), first as materialized (
      select distinct on (f.id) f.id, f.partition, f.log_offset, f.status from found f
      where f.is_new
      order by f.id, f.log_offset
    ), placed as materialized (
      select f.id, f.partition, f.log_offset,
        case when f.status = 'WAITING' then (select last_seq from admission.rooms where event_id = ${eventId})
          + count(*) filter (where f.status = 'WAITING') over (order by f.log_offset, f.partition, f.id)
        end as seq
      from first f
    ), changed as (
      update admission.sessions s
      set seq = p.seq, log_partition = p.partition, log_offset = p.log_offset
      from placed p
      where s.id = p.id and s.log_offset is null
      returning s.seq
    )
    select (select count(*) from given)::int - (select count(*) from found)::int as unknown,
      (select count(seq) from changed)::int as numbered`
}

/**
 * Ends those who leave, and those whose lease is over; a heartbeat that comes first is seen, because the lease is
 * looked at again once the row is locked. The status is not: it only changes in turns. Also ends those given that wait
 * unseen for too long. Indexes sessions_pkey, sessions_active.
 */
export function endStatement(
  tx: Tx,
  eventId: string,
  now: string,
  { leaving, forgotten, unseenMs }: { leaving: string; forgotten: string; unseenMs: number },
  { endsMax }: TurnLimits,
) {
  const at = instant(tx, now)
  return tx<Changed[]>`
    with leaving as materialized (
      select s.id, s.status = 'ACTIVE' as was_active
      from (${sessionsById(tx, leaving)}) s
      where s.event_id = ${eventId} and s.status in ('WAITING', 'ACTIVE')
    ), forgotten as materialized (
      select s.id
      from (${sessionsById(tx, forgotten)}) s
      where s.event_id = ${eventId} and s.status = 'WAITING' and s.id not in (select id from leaving)
    ), overdue as materialized (
      select s.id from admission.sessions s
      where s.status = 'ACTIVE' and s.lease_until <= ${at} and s.event_id = ${eventId}
        and s.id not in (select id from leaving)
      order by s.lease_until
      limit ${endsMax}::int
    ), departed as (
      update admission.sessions s
      set status = 'LEFT', ended_at = ${at}
      from leaving l
      where s.id = l.id
      returning s.id, s.user_id, s.status, l.was_active, s.seq
    ), expired as (
      update admission.sessions s
      set status = 'EXPIRED', ended_at = ${at}
      from overdue o
      where s.id = o.id and s.lease_until <= ${at}
      returning s.id, s.user_id, s.status, true as was_active, s.seq
    ), abandoned as (
      update admission.sessions s
      set status = 'ABANDONED', ended_at = ${at}
      from forgotten f
      where s.id = f.id and s.seen_at < ${at} - ${unseenMs}::float8 * interval '1 ms'
      returning s.id, s.user_id, s.status, false as was_active, s.seq
    )
    select id::text, user_id, status, was_active, seq::float8 from (
      select * from departed union all select * from expired union all select * from abandoned
    ) c`
}

type Granting = Pick<LockedRoom, 'now' | 'grace_ms' | 'claim_ms' | 'passed_seq'>

/**
 * Keeps the rows of those who are about to be passed over. Who shows up meanwhile is waited for, and is seen by the
 * statement that follows, which gives the places: its snapshot is taken when nobody can change them any more.
 */
export function lockUnseenStatement(
  tx: Tx,
  eventId: string,
  room: Granting,
  free: number,
  limits: TurnLimits,
) {
  return tx`
    with ${choice(tx, eventId, room, free, limits)}
    select s.id from passed p join admission.sessions s on s.id = p.id
    order by s.id
    for no key update of s`
}

/**
 * Lets in the first `free` who were seen within the grace, and passes over those before them who were not. When fewer
 * are found, all that were looked at have had their turn.
 *
 * The chosen ones are materialized: of a plain union PostgreSQL 18 left out those whose rows somebody else changed while
 * the statement ran.
 */
export function grantStatement(
  tx: Tx,
  eventId: string,
  room: Granting,
  free: number,
  limits: TurnLimits,
) {
  const at = instant(tx, room.now)
  return tx<Changed[]>`
    with ${choice(tx, eventId, room, free, limits)}, chosen as materialized (
      select id, true as admitted from let_in union all select id, false from passed
    )
    update admission.sessions s
    set status = case when c.admitted then 'ACTIVE' else 'ABANDONED' end,
      granted_at = case when c.admitted then ${at} end,
      lease_until = case when c.admitted then ${at} + ${room.claim_ms}::float8 * interval '1 ms' end,
      ended_at = case when not c.admitted then ${at} end
    from chosen c
    where s.id = c.id
    returning s.id::text, s.user_id, s.status, false as was_active, s.seq::float8`
}

/**
 * `let_in` and `passed`. Index sessions_waiting, read from the first place at which somebody may wait, because those
 * before it leave dead entries, to the last one that is let in.
 */
function choice(
  tx: Tx,
  eventId: string,
  { now, grace_ms: graceMs, passed_seq: passedSeq }: Granting,
  free: number,
  { passedMax }: TurnLimits,
) {
  const looked = free + passedMax
  const unseen = tx`coalesce(
    c.seen_at < ${instant(tx, now)} - ${graceMs}::float8 * interval '1 ms', false)`
  return tx`
    let_in as materialized (
      select c.id, c.seq
      from (
        select s.id, s.seq, s.seen_at from admission.sessions s
        where s.status = 'WAITING' and s.event_id = ${eventId} and s.seq > ${passedSeq}::bigint
        order by s.event_id, s.seq
        limit ${looked}::int
      ) c
      where not ${unseen}
      order by c.seq
      limit ${free}::int
    ), reach as materialized (
      select case when count(*) = ${free}::int then max(seq) else 9223372036854775807 end as seq from let_in
    ), passed as materialized (
      select c.id
      from (
        select s.id, s.seq, s.seen_at from admission.sessions s
        where s.status = 'WAITING' and s.event_id = ${eventId} and s.seq > ${passedSeq}::bigint
          and s.seq < (select seq from reach)
        order by s.event_id, s.seq
        limit ${looked}::int
      ) c
      where ${unseen}
    )`
}

/** By the index sessions_pkey, whatever is asked of them outside. */
function sessionsById(tx: Tx, ids: string) {
  return tx`
    select s.* from (select distinct unnest(${ids}::text::uuid[]) as id) g
    cross join lateral (
      select s.id, s.event_id, s.status from admission.sessions s where s.id = g.id limit 1
    ) s`
}

/** Read once, not for each row. */
function instant(tx: Tx, now: string) {
  return tx`(select ${now}::text::timestamptz)`
}

export interface Counted {
  readonly numbered: number
  readonly granted: number
  readonly freed: number
  readonly passedSeq: number
  readonly freedWeight: number
  readonly isNewWindow: boolean
}

/** Index rooms_pkey. */
export function countStatement(tx: Tx, eventId: string, now: string, counted: Counted) {
  const { numbered, granted, freed, passedSeq, freedWeight, isNewWindow } = counted
  const at = instant(tx, now)
  return tx`
    update admission.rooms r
    set last_seq = r.last_seq + ${numbered}::int,
      passed_seq = ${passedSeq}::bigint,
      active = r.active + ${granted}::int - ${freed}::int,
      granted = r.granted + ${granted}::int,
      freed = r.freed + ${freed}::int,
      freed_weight = case when ${freed}::int > 0 then ${freedWeight}::float8 else r.freed_weight end,
      freed_at = case when ${freed}::int > 0 then ${at} else r.freed_at end,
      freed_since = case when ${isNewWindow}::boolean and ${freed}::int > 0 then ${at}
        else r.freed_since end
    where r.event_id = ${eventId}`
}
