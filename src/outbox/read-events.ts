import { arrayText } from '../postgres/array-text.ts'
import type { Sql } from '../postgres/database.ts'
import type { ReserveOptions } from './adapter.ts'
import type { OutboxEvent } from './event.ts'
import type { LaneStart, Reading } from './event-store.ts'
import { serverStart } from './server-start.ts'

/**
 * A larger payload is not read. Brokers take no request above 100 MiB unless they are told to, and cut the connection
 * of one who tries, which looks like an outage; at 512 MB it would not fit into a text of Node's.
 */
const PAYLOAD_BYTES_MAX = 100_000_000

interface EventRow {
  readonly lane: number
  readonly id: string
  readonly event_id: string
  readonly topic: string
  readonly key: string | null
  readonly event_type: string
  readonly payload: string | null
  readonly payload_bytes: Uint8Array | null
  readonly headers: string
  readonly attempts: number
  readonly age_ms: number
  readonly expired: boolean
  readonly oversized: number | null
  readonly keys_held: boolean
  readonly unflushed: string | null
}

/**
 * The statement that reads due events: first those with a refusal behind them, then lane after lane in id order.
 *
 * Indexes: events_retrying for the former and for whether a key is held; the primary key (lane, id) for the latter,
 * one scan per lane from its start that ends at the limit; dead_letters_blocking for keys that a dead letter blocks.
 * An event is left out while an earlier one of its key waits with a refusal, or lies among the dead letters of a
 * topic that blocks. An event that merely waits for `not_before` holds nothing. The two parts never share a key, so
 * their order among each other does not matter.
 */
export function readStatement(
  sql: Sql,
  lanes: readonly LaneStart[],
  limit: number,
  { exceptTopics, bytesMax }: ReserveOptions,
) {
  const except = exceptTopics.join(',')
  return sql<EventRow[]>`
    with lane as materialized (
      select * from unnest(
        ${arrayText(lanes.map(({ lane }) => lane))}::text::smallint[],
        ${arrayText(lanes.map(({ fromId }) => fromId))}::text::bigint[]
      ) as l (lane, from_id)
    ), holding as materialized (
      -- Looked up once: while nothing is refused and nothing blocks, no event is held.
      select
        exists (select from outbox.events where attempts > 0) as by_retry,
        exists (select from outbox.dead_letters where blocks_key) as by_dead_letter
    )
    select
      lane, id, event_id, topic, key, event_type, headers, attempts, age_ms, expired,
      case when bytes <= ${PAYLOAD_BYTES_MAX} then payload end as payload,
      case when bytes <= ${PAYLOAD_BYTES_MAX} then payload_bytes end as payload_bytes,
      case when bytes > ${PAYLOAD_BYTES_MAX} then bytes end as oversized,
      (select by_retry or by_dead_letter from holding) as keys_held,
      (select case when pg_current_wal_flush_lsn() < log.position then log.position::text || ' ' || ${serverStart(sql)} end
       from pg_current_wal_insert_lsn() as log (position)) as unflushed
    from (
      select t.*, sum(t.bytes) over (rows unbounded preceding) as bytes_so_far
      from (
        (
          select
            e.lane, e.id, e.event_id, e.topic, e.key, e.event_type,
            e.payload::text as payload, e.payload_bytes, e.headers::text as headers, e.attempts,
            extract(epoch from clock_timestamp() - e.created_at)::float8 * 1000 as age_ms,
            coalesce(e.expires_at <= now(), false) as expired,
            coalesce(octet_length(e.payload::text), octet_length(e.payload_bytes), 0) as bytes
          from lane l
          cross join lateral (select e.* from outbox.events e where e.lane = l.lane and e.attempts > 0) e
          where (select by_retry from holding)
            and (e.not_before is null or e.not_before <= now())
            and e.topic <> all (string_to_array(${except}, ','))
            and not exists (
              select from outbox.events w
              where w.lane = e.lane and w.topic = e.topic and w.key = e.key and w.attempts > 0 and w.id < e.id
            )
            and not exists (
              select from outbox.dead_letters d
              where d.blocks_key and d.lane = e.lane and d.topic = e.topic and d.key = e.key and d.id < e.id
            )
          order by e.id
          limit ${limit}
        )
        union all
        (
          select e.*
          from lane l
          cross join lateral (
            select
              e.lane, e.id, e.event_id, e.topic, e.key, e.event_type,
              e.payload::text as payload, e.payload_bytes, e.headers::text as headers, e.attempts,
              extract(epoch from clock_timestamp() - e.created_at)::float8 * 1000 as age_ms,
              coalesce(e.expires_at <= now(), false) as expired,
              coalesce(octet_length(e.payload::text), octet_length(e.payload_bytes), 0) as bytes
            from outbox.events e
            where e.lane = l.lane and e.id >= l.from_id
              and e.attempts = 0
              and (e.not_before is null or e.not_before <= now())
              and e.topic <> all (string_to_array(${except}, ','))
              and not (
                (select by_retry from holding)
                and exists (
                  select from outbox.events w
                  where w.lane = e.lane and w.topic = e.topic and w.key = e.key and w.attempts > 0 and w.id < e.id
                )
              )
              and not (
                (select by_dead_letter from holding)
                and exists (
                  select from outbox.dead_letters d
                  where d.blocks_key and d.lane = e.lane and d.topic = e.topic and d.key = e.key and d.id < e.id
                )
              )
            order by e.id
            limit ${limit}
          ) e
          limit ${limit}
        )
      ) t
    ) t
    where t.bytes_so_far - t.bytes < ${bytesMax}
    limit ${limit}`
}

export function toReading(rows: readonly EventRow[]): Reading {
  return {
    events: rows.map(toEvent),
    keysHeld: rows[0]?.keys_held ?? false,
    unflushedUpTo: rows[0]?.unflushed ?? null,
  }
}

function toEvent(row: EventRow): OutboxEvent {
  return {
    ...(row.oversized !== null && { oversizedBytes: row.oversized }),
    lane: row.lane,
    id: row.id,
    eventId: row.event_id,
    topic: row.topic,
    key: row.key,
    eventType: row.event_type,
    payload: row.payload ?? row.payload_bytes,
    headersJson: row.headers,
    attempts: row.attempts,
    ageMs: row.age_ms,
    expired: row.expired,
  }
}
