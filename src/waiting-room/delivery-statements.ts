import type { Tx } from '../consumer/tx.ts'
import type { InboxRow, TaskRow } from './delivery-row.ts'

/** A waiting key's name. */
export interface KeyRow {
  readonly topic: string
  /** Hex. */
  readonly key: string
}

export interface KeyState extends KeyRow {
  /** Earlier records of it wait. */
  readonly waiting: boolean
  readonly held: boolean
  /** Until someone resumes it. */
  readonly held_for_good: boolean
}

/**
 * Claims records in the inbox; it waits for whoever has one of them in work. In the order of their ids, so that two
 * who claim the same records do not wait for each other.
 * @returns the ids that were not there
 */
export function claimInbox(tx: Tx, group: string, rows: readonly InboxRow[]) {
  const [first, second] = rows
  if (first !== undefined && second === undefined) return claimOne(tx, group, first)
  return tx<{ message_id: string }[]>`
    insert into waiting_room.inbox (group_id, message_id, topic, partition, "offset")
    select ${group}::text, d.message_id, d.topic, d.partition, d."offset"
    from json_to_recordset(${JSON.stringify(rows)}::text::json) as d (
      message_id text, topic text, partition integer, "offset" bigint
    )
    order by d.message_id
    on conflict (group_id, message_id) do nothing
    returning message_id`
}

/** One record without a document around it costs a third less; where each has its own transaction, that counts. */
function claimOne(tx: Tx, group: string, row: InboxRow) {
  return tx<{ message_id: string }[]>`
    insert into waiting_room.inbox (group_id, message_id, topic, partition, "offset")
    values (
      ${group}::text, ${row.message_id}::text, ${row.topic}::text, ${row.partition}::integer, ${row.offset}::bigint
    )
    on conflict (group_id, message_id) do nothing
    returning message_id`
}

/**
 * Locks the rows of those keys that wait or are held. A statement of its own after `claimInbox`, which may have
 * waited: only a later one sees what the other has committed meanwhile. Index: the primary key.
 */
export function lockWaitingKeys(tx: Tx, group: string, keys: readonly KeyRow[]) {
  const [first, second] = keys
  if (first !== undefined && second === undefined) return lockWaitingKey(tx, group, first)
  return tx<KeyState[]>`
    select k.topic, encode(k.key, 'hex') as key, k.open > 0 as waiting,
      k.held_until is not null and k.held_until > clock_timestamp() as held,
      coalesce(k.held_until = 'infinity', false) as held_for_good
    from json_to_recordset(${JSON.stringify(keys)}::text::json) as d (topic text, key text)
    join waiting_room.keys k
      on k.group_id = ${group}::text and k.topic = d.topic and k.key = decode(d.key, 'hex')
    order by k.topic, k.key
    for update of k`
}

/** As `claimOne`. */
function lockWaitingKey(tx: Tx, group: string, { topic, key }: KeyRow) {
  return tx<KeyState[]>`
    select k.topic, encode(k.key, 'hex') as key, k.open > 0 as waiting,
      k.held_until is not null and k.held_until > clock_timestamp() as held,
      coalesce(k.held_until = 'infinity', false) as held_for_good
    from waiting_room.keys k
    where k.group_id = ${group}::text and k.topic = ${topic}::text and k.key = decode(${key}::text, 'hex')
    for update of k`
}

/** Locks the key's row, and makes it if there is none: from here on no other record of it is handled. */
export function enterKey(tx: Tx, group: string, { topic, key }: KeyRow) {
  return tx<KeyState[]>`
    insert into waiting_room.keys as k (group_id, topic, key, open)
    values (${group}::text, ${topic}::text, decode(${key}::text, 'hex'), 0)
    on conflict (group_id, topic, key) do update set open = k.open
    returning k.topic, encode(k.key, 'hex') as key, k.open > 0 as waiting,
      k.held_until is not null and k.held_until > clock_timestamp() as held,
      coalesce(k.held_until = 'infinity', false) as held_for_good`
}

/**
 * Makes tasks of records, counts them with their keys, whose rows are locked, and tells of them. One that waits for
 * its time waits for the end of its key's hold too. A task that has ended under the same id gives way; one that has
 * not stays as it is.
 * @returns the ids of those that became tasks
 */
export function takeIn(
  tx: Tx,
  { group, controlTopic }: { readonly group: string; readonly controlTopic: string | null },
  rows: readonly TaskRow[],
) {
  return tx<{ message_id: string }[]>`
    with given as (
      select * from rows from (json_to_recordset(${JSON.stringify(rows)}::text::json) as (
        message_id text, topic text, partition integer, "offset" bigint, key text, value text, headers jsonb,
        record_ms float8, ordered boolean, state text, attempts integer, due_in_ms float8, due_at_ms float8,
        expires_at_ms float8, retry_topic text, reason text
      )) with ordinality
    ), written as (
      insert into waiting_room.tasks as t (
        group_id, message_id, topic, partition, "offset", key, value, headers, record_at, ordered, state, attempts,
        due_at, expires_at, retry_topic, reason, last_error, history
      )
      select
        ${group}::text, g.message_id, g.topic, g.partition, g."offset",
        decode(g.key, 'hex'), decode(g.value, 'base64'), g.headers, to_timestamp(g.record_ms / 1000), g.ordered,
        g.state, g.attempts,
        greatest(
          coalesce(to_timestamp(g.due_at_ms / 1000), clock_timestamp() + coalesce(g.due_in_ms, 0) * interval '1 ms'),
          case when g.state = 'waiting' and isfinite(k.held_until) then k.held_until end
        ),
        to_timestamp(g.expires_at_ms / 1000), g.retry_topic, g.reason, g.reason,
        case
          when g.reason is null then '[]'
          else jsonb_build_array(jsonb_build_object('at', now(), 'attempt', g.attempts, 'reason', g.reason))
        end
      from given g
      left join waiting_room.keys k
        on g.ordered and k.group_id = ${group}::text and k.topic = g.topic and k.key = decode(g.key, 'hex')
      order by g.ordinality
      on conflict (group_id, message_id) do update set
        topic = excluded.topic, partition = excluded.partition, "offset" = excluded."offset", key = excluded.key,
        value = excluded.value, headers = excluded.headers, record_at = excluded.record_at,
        ordered = excluded.ordered, state = excluded.state, attempts = excluded.attempts, rev = t.rev + 1,
        due_at = excluded.due_at, expires_at = excluded.expires_at, token = null,
        retry_topic = excluded.retry_topic, reason = excluded.reason, last_error = excluded.last_error,
        history = excluded.history, changed_at = now()
      where t.state in ('dead', 'expired', 'removed')
      returning t as task
    ), counted as (
      update waiting_room.keys k set open = k.open + n.tasks
      from (
        select (task).topic, (task).key, count(*)::integer as tasks from written
        where (task).ordered and (task).state in ('waiting', 'behind', 'held')
        group by 1, 2
      ) n
      where k.group_id = ${group}::text and k.topic = n.topic and k.key = n.key
    )
    select (task).message_id, waiting_room.announce(
      ${controlTopic}::text, case when (task).state = 'dead' then 'twr.failed' else 'twr.new' end, task
    )::text as told
    from (select task from written order by (task).id) as in_order`
}
