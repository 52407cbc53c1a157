import { arrayText } from '../postgres/array-text.ts'
import type { Database } from '../postgres/database.ts'
import type { IdStore, LaneStart, WritersSeen } from './event-store.ts'
import { serverStart } from './server-start.ts'

interface WritersRow {
  readonly last_id: string
  /** Transactions, separated by commas; null for none. */
  readonly open: string | null
  readonly server: string
  readonly position: string
  readonly flushed: string
}

/** The statements that the low-water marks are made from. */
export class IdTable implements IdStore {
  readonly #database: Database
  readonly #replica: string

  constructor(database: Database, replica: string) {
    this.#database = database
    this.#replica = replica
  }

  /**
   * The identity's sequence is read outside of any snapshot. A transaction takes ROW EXCLUSIVE on the table, or a
   * stronger lock, before it draws an id; also one that is prepared holds it.
   */
  async writers(): Promise<WritersSeen> {
    const [row] = await this.#database.run(
      'looking at the writers',
      sql => sql<WritersRow[]>`
        select
          (select case when is_called then last_value else last_value - 1 end from outbox.events_id_seq) as last_id,
          (select string_agg(virtualtransaction, ',') from pg_locks
           where locktype = 'relation' and relation = 'outbox.events'::regclass and granted
             and database = (select oid from pg_database where datname = current_database())
             and mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
          ) as open,
          ${serverStart(sql)} as server,
          (pg_current_wal_insert_lsn() - '0/0')::text as position,
          (pg_current_wal_flush_lsn() - '0/0')::text as flushed`,
    )
    if (!row) throw new Error('the sequence of outbox.events gave no row')
    return {
      lastId: BigInt(row.last_id),
      open: new Set(row.open?.split(',')),
      server: row.server,
      position: BigInt(row.position),
      flushed: BigInt(row.flushed),
    }
  }

  /** Index: primary key (lane, id), one probe per lane that passes over what has gone since the start. */
  async firstIds(lanes: readonly LaneStart[]): Promise<ReadonlyMap<number, bigint>> {
    const rows = await this.#database.run(
      'looking for the first events',
      sql => sql<{ lane: number; id: string }[]>`
        select l.lane, e.id
        from unnest(
          ${arrayText(lanes.map(({ lane }) => lane))}::text::smallint[],
          ${arrayText(lanes.map(({ fromId }) => fromId))}::text::bigint[]
        ) as l (lane, from_id)
        cross join lateral (
          select e.id from outbox.events e
          where e.lane = l.lane and e.id >= l.from_id and e.attempts = 0
          order by e.id
          limit 1
        ) e`,
    )
    return new Map(rows.map(({ lane, id }) => [lane, BigInt(id)]))
  }

  async keep(lanes: readonly LaneStart[]): Promise<void> {
    await this.#database.run(
      'keeping the low-water marks',
      sql => sql`
        with mine as (
          select l.lane, r.low_water from outbox.lanes l
          join unnest(
            ${arrayText(lanes.map(({ lane }) => lane))}::text::smallint[],
            ${arrayText(lanes.map(({ epoch }) => epoch))}::text::bigint[],
            ${arrayText(lanes.map(({ fromId }) => fromId))}::text::bigint[]
          ) as r (lane, epoch, low_water) on l.lane = r.lane and l.epoch = r.epoch
          where l.owner = ${this.#replica} and l.low_water <> r.low_water
          order by l.lane
          for update of l
        )
        update outbox.lanes l
        set low_water = mine.low_water
        from mine
        where l.lane = mine.lane`,
    )
  }
}
