import { SluiceError } from '../errors.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import { arrayText } from '../postgres/array-text.ts'
import type { Database, Sql } from '../postgres/database.ts'
import type { FailedEvent, LaneLease, PublishedEvent, ReserveOptions, Settled } from './adapter.ts'
import type { OutboxEvent } from './event.ts'
import type { EventStore, LaneStart, Reading } from './event-store.ts'
import { readStatement, toReading } from './read-events.ts'
import { faultsJson, refusal } from './refuse-events.ts'
import { serverStart } from './server-start.ts'

export interface EventTableOptions {
  readonly replica: string
  /** Whether confirmed events move to `outbox.published`; else they are deleted. */
  readonly keepsPublished: boolean
  /** Dead letters are published here too; null: nowhere. */
  readonly deadLetterTopic: string | null
}

interface SettledRow {
  readonly settled: number
  /** Lanes whose epoch was still ours, separated by commas; null for none. */
  readonly held: string | null
  /** Ids that changed, where they matter. */
  readonly ids?: string | null
}

/** The server is asked again after this long whether its log is flushed; doubled each time. */
const FLUSH_PAUSE_MS = 1
/** After this long, it is made to flush. Without that a writer's commit may lie in memory for seconds. */
const FLUSH_BY_ITSELF_MS = 15

/**
 * The statements on `outbox.events` and the tables its rows move to. Each write is fenced: it touches only rows of
 * lanes whose epoch is still the caller's, and locks those lanes FOR SHARE, so that a takeover waits until it is done.
 */
export class EventTable implements EventStore {
  readonly #database: Database
  readonly #options: EventTableOptions

  constructor(database: Database, options: EventTableOptions) {
    this.#database = database
    this.#options = options
  }

  async read(
    lanes: readonly LaneStart[],
    limit: number,
    options: ReserveOptions,
  ): Promise<Reading> {
    const rows = await this.#database.run('reading events', sql =>
      readStatement(sql, lanes, limit, options),
    )
    return toReading(rows)
  }

  /**
   * A writer with `synchronous_commit = off` shows its events before they survive a crash. The log is sequential: once
   * it is flushed up to where it ended after the reading's snapshot, all that the reading saw survives.
   */
  async awaitFlush(position: string): Promise<void> {
    const [lsn = '', ...server] = position.split(' ')
    const startedMs = monotonicMs()
    const { signal } = new AbortController()
    for (let pauseMs = FLUSH_PAUSE_MS; ; pauseMs *= 2) {
      const forces = monotonicMs() - startedMs >= FLUSH_BY_ITSELF_MS
      if (forces) await this.#flush()
      const [row] = await this.#database.run(
        'waiting for the log',
        sql => sql<{ same: boolean; flushed: boolean }[]>`
          select ${serverStart(sql)} = ${server.join(' ')} as same,
                 pg_current_wal_flush_lsn() >= ${lsn}::pg_lsn as flushed`,
      )
      if (!row?.same)
        throw new SluiceError('database', 'the server has started anew since it was read', {
          retryable: true,
        })
      if (row.flushed) return
      await pause(pauseMs, signal)
    }
  }

  /** The commit of a transaction that has written anything at all takes all of the log before it to disk. */
  async #flush(): Promise<void> {
    await this.#database.run(
      'flushing the log',
      sql => sql`
        select from (select set_config('synchronous_commit', 'local', true)) as setting,
                    pg_logical_emit_message(true, 'sluice', '')`,
    )
  }

  /** Published events leave the outbox: deleted, or moved when history is kept. */
  async confirm(
    leases: readonly LaneLease[],
    published: readonly PublishedEvent[],
  ): Promise<Settled> {
    const events = published.map(({ event }) => event)
    const row = await this.#database.run('confirming events', sql =>
      this.#options.keepsPublished
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
        where l.owner = ${this.#options.replica}
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
        where l.owner = ${this.#options.replica}
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

  /** Refused events: an attempt is spent and the next one scheduled, or they move to the dead letters. */
  async confirmFailed(
    leases: readonly LaneLease[],
    failures: readonly FailedEvent[],
  ): Promise<Settled> {
    const { replica, deadLetterTopic } = this.#options
    const row = await this.#database.run('recording refused events', async sql => {
      const [result] = await sql<SettledRow[]>`
        with held as materialized (
          select l.lane from outbox.lanes l
          join unnest(${lanesOf(leases)}::text::smallint[], ${epochsOf(leases)}::text::bigint[]) as r (lane, epoch)
            on l.lane = r.lane and l.epoch = r.epoch
          where l.owner = ${replica}
          order by l.lane
          for share of l
        ), ${refusal(sql, faultsJson(failures), deadLetterTopic)}
        select
          (select count(*)::int from retried) + (select count(*)::int from buried) as settled,
          (select string_agg(lane::text, ',') from held) as held,
          (select string_agg(id::text, ',') from (select id from retried union all select id from buried) t) as ids`
      return result
    })
    const settled = settledOf(
      row,
      failures.map(({ event }) => event),
    )
    const partly = settled.settled > 0 && settled.settled < failures.length
    return partly ? { ...settled, ids: new Set(row?.ids?.split(',')) } : settled
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
