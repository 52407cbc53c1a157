import type { Kafka } from 'kafkajs'
import type postgres from 'postgres'
import type { Topics } from './event-plan.ts'
import type { Happening, HistoryFile } from './history.ts'
import { type LedgerRow, READ_LEDGER_SQL, standingOf } from './ledger.ts'
import { readRecords } from './read-records.ts'

export interface Remains {
  readonly sql: postgres.Sql
  readonly kafka: Kafka
  readonly topics: Topics
  readonly history: HistoryFile
}

const ROWS = 2_000

/** Tells the history what is left of a campaign: what committed, what became of it, and what Kafka holds. */
export async function collect({ sql, kafka, topics, history }: Remains): Promise<void> {
  await history.tellAll(committed(sql, topics))
  await history.tellAll(
    rowsOf(
      sql`select event_id::text, kafka_partition, kafka_offset::text, attempts from outbox.published`,
      row => ({
        kind: 'confirmed',
        eventId: String(row.event_id),
        partition: Number(row.kafka_partition),
        offset: String(row.kafka_offset),
        attempts: Number(row.attempts),
      }),
    ),
  )
  await history.tellAll(
    rowsOf(sql`select event_id::text, reason, attempts from outbox.dead_letters`, row => ({
      kind: 'dead',
      eventId: String(row.event_id),
      reason: String(row.reason),
      attempts: Number(row.attempts),
    })),
  )
  await history.tellAll(
    rowsOf(sql`select event_id::text, attempts, last_error from outbox.events`, row => ({
      kind: 'waiting',
      eventId: String(row.event_id),
      attempts: Number(row.attempts),
      lastError: row.last_error === null ? null : String(row.last_error),
    })),
  )
  await history.tellAll(
    rowsOf(sql`select lane, owner from outbox.lanes where owner is not null`, row => ({
      kind: 'lane_left',
      lane: Number(row.lane),
      owner: String(row.owner),
    })),
  )
  await readRecords(kafka, Object.values(topics), record => history.tell(record))
}

async function* committed(sql: postgres.Sql, topics: Topics): AsyncGenerator<Happening> {
  for await (const rows of sql.unsafe<LedgerRow[]>(READ_LEDGER_SQL).cursor(ROWS)) {
    for (const row of rows) {
      yield {
        kind: 'committed',
        eventId: row.event_id,
        id: row.id,
        topic: row.topic,
        key: row.key,
        seq: row.seq === null ? null : Number(row.seq),
        content: row.content,
        notBeforeMs: row.not_before_ms,
        fate: row.fate,
        reason: row.reason,
        ...standingOf(topics, row.topic),
      }
    }
  }
}

async function* rowsOf(
  query: postgres.PendingQuery<postgres.Row[]>,
  toHappening: (row: postgres.Row) => Happening,
): AsyncGenerator<Happening> {
  for await (const rows of query.cursor(ROWS)) for (const row of rows) yield toHappening(row)
}
