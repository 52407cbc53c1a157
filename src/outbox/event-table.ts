import type { FailedEvent, LaneLease, PublishedEvent, ReserveOptions, Settled } from './adapter.ts'
import type { Database, Sql } from './database.ts'
import type { OutboxEvent } from './event.ts'
import { arrayText } from './lane-table.ts'

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
}

interface SettledRow {
  readonly settled: number
  /** Lanes whose epoch was still ours, separated by commas; null for none. */
  readonly held: string | null
}

/**
 * The statements on `outbox.events` and the tables its rows move to. Each write is fenced: it touches only rows of
 * lanes whose epoch is still the caller's, and locks those lanes FOR SHARE, so that a takeover waits until it is done.
 */
export class EventTable {
  readonly #database: Database
  readonly #replica: string
  readonly #keepsPublished: boolean

  constructor(database: Database, replica: string, keepsPublished: boolean) {
    this.#database = database
    this.#replica = replica
    this.#keepsPublished = keepsPublished
  }

  /**
   * Due events of these lanes, lane after lane, each in id order.
   *
   * Index: primary key (lane, id), one scan per lane that stops at the limit; events_retrying for keys that wait.
   * An event whose key has an earlier one with failed attempts is left out until that one is settled: the retry
   * holds its key. An event that merely waits for `not_before` holds nothing.
   */
  async read(
    lanes: readonly LaneLease[],
    limit: number,
    { exceptTopics, bytesMax }: ReserveOptions,
  ): Promise<OutboxEvent[]> {
    const laneList = arrayText(lanes.map(({ lane }) => lane))
    const rows = await this.#database.run(
      'reading events',
      sql => sql<EventRow[]>`
        select lane, id, event_id, topic, key, event_type, payload, payload_bytes, headers, attempts, age_ms, expired
        from (
          select e.*, sum(e.bytes) over (rows unbounded preceding) as bytes_so_far
          from unnest(${laneList}::text::smallint[]) as l (lane)
          cross join lateral (
            select
              e.lane, e.id, e.event_id, e.topic, e.key, e.event_type,
              e.payload::text as payload, e.payload_bytes, e.headers::text as headers, e.attempts,
              extract(epoch from clock_timestamp() - e.created_at)::float8 * 1000 as age_ms,
              coalesce(e.expires_at <= now(), false) as expired,
              coalesce(octet_length(e.payload::text), octet_length(e.payload_bytes), 0) as bytes
            from outbox.events e
            where e.lane = l.lane
              and (e.not_before is null or e.not_before <= now())
              and e.topic <> all (string_to_array(${exceptTopics.join(',')}, ','))
              and not (
                -- Looked up once: while nothing waits for a retry, no event is held.
                exists (select from outbox.events where attempts > 0)
                and exists (
                  select from outbox.events w
                  where w.lane = e.lane and w.topic = e.topic and w.key = e.key and w.attempts > 0 and w.id < e.id
                )
              )
            order by e.id
            limit ${limit}
          ) e
          limit ${limit}
        ) t
        where t.bytes_so_far - t.bytes < ${bytesMax}`,
    )
    return rows.map(toEvent)
  }

  /** Published events leave the outbox: deleted, or moved when history is kept. */
  async confirm(
    leases: readonly LaneLease[],
    published: readonly PublishedEvent[],
  ): Promise<Settled> {
    const events = published.map(({ event }) => event)
    const row = await this.#database.run('confirming events', sql =>
      this.#keepsPublished
        ? this.#confirmByMove(sql, leases, published)
        : this.#confirmByDelete(sql, leases, events),
    )
    return settledOf(row, events)
  }

  async #confirmByDelete(
    sql: Sql,
    leases: readonly LaneLease[],
    events: readonly OutboxEvent[],
  ): Promise<SettledRow | undefined> {
    const [row] = await sql<SettledRow[]>`
      with held as materialized (
        select l.lane from outbox.lanes l
        join unnest(${lanesOf(leases)}::text::smallint[], ${epochsOf(leases)}::text::bigint[]) as r (lane, epoch)
          on l.lane = r.lane and l.epoch = r.epoch
        where l.owner = ${this.#replica}
        order by l.lane
        for share of l
      ), done as (
        delete from outbox.events e
        using unnest(${lanesOf(events)}::text::smallint[], ${idsOf(events)}::text::bigint[]) as d (lane, id)
        where e.lane = d.lane and e.id = d.id and d.lane in (select lane from held)
        returning 1
      )
      select (select count(*)::int from done) as settled, (select string_agg(lane::text, ',') from held) as held`
    return row
  }

  async #confirmByMove(
    sql: Sql,
    leases: readonly LaneLease[],
    published: readonly PublishedEvent[],
  ): Promise<SettledRow | undefined> {
    const events = published.map(({ event }) => event)
    const partitions = arrayText(published.map(({ partition }) => partition))
    const offsets = arrayText(published.map(({ offset }) => offset))
    const [row] = await sql<SettledRow[]>`
      with held as materialized (
        select l.lane from outbox.lanes l
        join unnest(${lanesOf(leases)}::text::smallint[], ${epochsOf(leases)}::text::bigint[]) as r (lane, epoch)
          on l.lane = r.lane and l.epoch = r.epoch
        where l.owner = ${this.#replica}
        order by l.lane
        for share of l
      ), done as (
        delete from outbox.events e
        using unnest(
          ${lanesOf(events)}::text::smallint[], ${idsOf(events)}::text::bigint[],
          ${partitions}::text::int[], ${offsets}::text::bigint[]
        ) as d (lane, id, kafka_partition, kafka_offset)
        where e.lane = d.lane and e.id = d.id and d.lane in (select lane from held)
        returning e.*, d.kafka_partition, d.kafka_offset
      ), moved as (
        insert into outbox.published (
          id, lane, event_id, topic, key, event_type, headers, payload, payload_bytes, created_at, attempts,
          kafka_partition, kafka_offset
        )
        select
          id, lane, event_id, topic, key, event_type, headers, payload, payload_bytes, created_at, attempts,
          kafka_partition, kafka_offset
        from done
        returning 1
      )
      select (select count(*)::int from moved) as settled, (select string_agg(lane::text, ',') from held) as held`
    return row
  }

  /**
   * Refused events: an attempt is spent and the next one scheduled, or they move to the dead letters. The number of
   * attempts that was read is part of the condition, so that a repeated call spends no second one.
   */
  async confirmFailed(
    leases: readonly LaneLease[],
    failures: readonly FailedEvent[],
  ): Promise<Settled> {
    const events = failures.map(({ event }) => event)
    const faults = JSON.stringify(
      failures.map(({ event, kind, reason, error, retryDelayMs }) => ({
        lane: event.lane,
        id: event.id,
        attempts: event.attempts,
        dead: kind === 'dead',
        reason,
        error: withoutNul(error),
        retry_delay_ms: retryDelayMs,
      })),
    )
    const row = await this.#database.run('recording refused events', async sql => {
      const [result] = await sql<SettledRow[]>`
        with held as materialized (
          select l.lane from outbox.lanes l
          join unnest(${lanesOf(leases)}::text::smallint[], ${epochsOf(leases)}::text::bigint[]) as r (lane, epoch)
            on l.lane = r.lane and l.epoch = r.epoch
          where l.owner = ${this.#replica}
          order by l.lane
          for share of l
        ), fault as (
          select f.*
          from jsonb_to_recordset(${faults}::text::jsonb)
            as f (lane smallint, id bigint, attempts int, dead boolean, reason text, error text, retry_delay_ms float8)
          join held using (lane)
        ), retried as (
          update outbox.events e
          set attempts = e.attempts + 1,
              last_error = f.reason || ': ' || f.error,
              not_before = clock_timestamp() + f.retry_delay_ms * interval '1 ms'
          from fault f
          where e.lane = f.lane and e.id = f.id and e.attempts = f.attempts and not f.dead
          returning 1
        ), died as (
          delete from outbox.events e
          using fault f
          where e.lane = f.lane and e.id = f.id and f.dead
          returning e.*, f.reason, f.error
        ), buried as (
          insert into outbox.dead_letters (
            id, lane, event_id, topic, key, event_type, headers, payload, payload_bytes, created_at, not_before,
            expires_at, attempts, reason, error
          )
          select
            id, lane, event_id, topic, key, event_type, headers, payload, payload_bytes, created_at, not_before,
            expires_at, attempts + (case when reason = 'expired' then 0 else 1 end), reason, error
          from died
          returning 1
        )
        select
          (select count(*)::int from retried) + (select count(*)::int from buried) as settled,
          (select string_agg(lane::text, ',') from held) as held`
      return result
    })
    return settledOf(row, events)
  }
}

function toEvent(row: EventRow): OutboxEvent {
  return {
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

/** Events of lanes that are no longer held count as fenced; a missing row of a held lane has been settled before. */
function settledOf(row: SettledRow | undefined, events: readonly OutboxEvent[]): Settled {
  const held = new Set(row?.held?.split(',').map(Number))
  const fenced = events.reduce((count, event) => count + (held.has(event.lane) ? 0 : 1), 0)
  return { settled: row?.settled ?? 0, fenced }
}

function lanesOf(items: readonly { lane: number }[]): string {
  return arrayText(items.map(({ lane }) => lane))
}

function idsOf(events: readonly OutboxEvent[]): string {
  return arrayText(events.map(({ id }) => id))
}

function epochsOf(leases: readonly LaneLease[]): string {
  return arrayText(leases.map(({ epoch }) => epoch))
}

/** PostgreSQL's text cannot hold U+0000, which a broker's message might. */
function withoutNul(text: string): string {
  return text.replaceAll('\0', '')
}
