import type postgres from 'postgres'
import type { Due } from '../consumer/delivery-store.ts'
import { writableText } from './record-copy.ts'
import type { ClaimedTask, TaskEnd } from './task-store.ts'

/** A transaction, or a pool: each of these is one statement. */
export type Queries = postgres.ISql<Record<string, unknown>>

/** A claimed task as the statements need it. */
type Claim = Pick<ClaimedTask, 'id' | 'token'>

const REASON_CHARACTERS_MAX = 1_000
/** The last instant that both JavaScript's text form and PostgreSQL's parser write with four digits of a year. */
const LAST_INSTANT_MS = Date.UTC(9999, 11, 31)

/** The claim is still held: the token is the worker's, and its lease is not over. */
function held(sql: Queries, { id, token }: Claim) {
  return sql`
    t.id = ${id}::bigint and t.token = ${token}::uuid and t.state = 'waiting' and t.due_at > clock_timestamp()`
}

function dueAt(sql: Queries, due: Due) {
  const at = 'at' in due ? new Date(Math.min(due.at.getTime(), LAST_INSTANT_MS)) : null
  const inMs = 'inMs' in due ? due.inMs : 0
  return sql`coalesce(${at}::timestamptz, clock_timestamp() + ${inMs}::float8 * interval '1 ms')`
}

/** The last twenty failures, this one too. */
function withFailure(sql: Queries, reason: string) {
  return sql`
    case when jsonb_array_length(t.history) >= 20 then t.history - 0 else t.history end
    || jsonb_build_object('at', now(), 'attempt', t.attempts, 'reason', ${reason}::text)`
}

function short(reason: string): string {
  return writableText(reason.slice(0, REASON_CHARACTERS_MAX))
}

/** It waits for its next attempt. @returns no row when the claim was lost, as do all of these */
export function retryStatement(
  sql: Queries,
  task: Claim,
  { due, reason }: Extract<TaskEnd, { kind: 'retry' }>,
  controlTopic: string | null,
) {
  const why = short(reason)
  return sql`
    with changed as (
      update waiting_room.tasks t
      set token = null, rev = t.rev + 1, changed_at = now(), due_at = ${dueAt(sql, due)},
          reason = ${why}::text, last_error = ${why}::text, history = ${withFailure(sql, why)}
      where ${held(sql, task)}
      returning t as task
    )
    select waiting_room.announce(${controlTopic}::text, 'twr.retry', task) from changed`
}

/** It waits until someone releases it, and its key with it. */
export function holdStatement(
  sql: Queries,
  task: Claim,
  { reason }: Extract<TaskEnd, { kind: 'hold' }>,
  controlTopic: string | null,
) {
  const why = short(reason)
  return sql`
    with changed as (
      update waiting_room.tasks t
      set state = 'held', token = null, rev = t.rev + 1, changed_at = now(), due_at = now(),
          reason = ${why}::text, last_error = ${why}::text, history = ${withFailure(sql, why)}
      where ${held(sql, task)}
      returning t as task
    )
    select waiting_room.announce(${controlTopic}::text, 'twr.held', task) from changed`
}

/** The claim has never been. */
export function giveBackStatement(
  sql: Queries,
  task: Claim,
  due: Due,
  controlTopic: string | null,
) {
  return sql`
    with changed as (
      update waiting_room.tasks t
      set token = null, rev = t.rev + 1, changed_at = now(), due_at = ${dueAt(sql, due)},
          attempts = greatest(t.attempts - 1, 0)
      where ${held(sql, task)}
      returning t as task
    )
    select waiting_room.announce(${controlTopic}::text, 'twr.retry', task) from changed`
}

export function renewStatement(sql: Queries, task: Claim, leaseMs: number) {
  return sql`
    update waiting_room.tasks t
    set due_at = clock_timestamp() + ${leaseMs}::float8 * interval '1 ms'
    where ${held(sql, task)}
    returning 1 as renewed`
}

/** It leaves its key, whose row is locked. It stays as a dead letter. */
export function buryStatement(
  sql: Queries,
  task: Claim,
  reason: string,
  controlTopic: string | null,
) {
  const why = short(reason)
  return sql`
    with changed as (
      update waiting_room.tasks t
      set state = 'dead', token = null, rev = t.rev + 1, changed_at = now(), due_at = now(),
          reason = ${why}::text, last_error = ${why}::text, history = ${withFailure(sql, why)}
      where ${held(sql, task)}
      returning t as task
    )
    select waiting_room.announce(${controlTopic}::text, 'twr.failed', task) from changed`
}

/** It leaves its key, whose row is locked. It stays for a few days, for whoever looks for it. */
export function dropStatement(
  sql: Queries,
  task: Claim,
  { why }: Extract<TaskEnd, { kind: 'drop' }>,
  controlTopic: string | null,
) {
  const state = why === 'expired' ? 'expired' : 'removed'
  return sql`
    with changed as (
      update waiting_room.tasks t
      set state = ${state}::text, token = null, rev = t.rev + 1, changed_at = now(), due_at = now(),
          reason = ${why}::text
      where ${held(sql, task)}
      returning t as task
    )
    select waiting_room.announce(${controlTopic}::text, ${`twr.${state}`}::text, task) from changed`
}

/** It leaves its key, whose row is locked, and the table. */
export function takeOutStatement(
  sql: Queries,
  task: Claim,
  event: 'twr.completed' | 'twr.reproduced',
  controlTopic: string | null,
) {
  return sql`
    with gone as (
      delete from waiting_room.tasks t
      where ${held(sql, task)}
      returning t as task
    )
    select waiting_room.announce(${controlTopic}::text, ${event}::text, task) from gone`
}

/** Index tasks_due: see `claimStatement`. Tasks in work count by the end of their leases. */
export function nextDueStatement(sql: Queries, group: string) {
  return sql<{ in_ms: number }[]>`
    select extract(epoch from n.due_at - now())::float8 * 1000 as in_ms
    from (
      select t.group_id, t.due_at from waiting_room.tasks t
      where t.state = 'waiting' and (t.group_id, t.due_at) > (${group}::text, '-infinity')
      order by t.group_id, t.due_at
      limit 1
    ) n
    where n.group_id = ${group}`
}
