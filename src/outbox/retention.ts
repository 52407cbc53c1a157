import { describeError } from '../errors.ts'
import { pause } from '../internal/pause.ts'
import type { Database } from '../postgres/database.ts'
import type { Log } from '../telemetry/log.ts'

/** Rows deleted by one statement: short enough to disturb nobody. */
const BATCH_ROWS = 5_000
const EVERY_MS = 60_000
const DAY_MS = 86_400_000

/**
 * Keeps the history of published events as long as the retention asks, until it is stopped: makes the daily
 * partitions ahead and drops those that are past, so a row stays up to a day longer than asked. What no daily
 * partition took, and what a retention of less than a day asks for, is deleted in bounded statements.
 */
export async function keepRetention(
  database: Database,
  retentionMs: number,
  log: Log,
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    try {
      const { created, dropped } = await keepPartitions(database, retentionMs)
      if (created + dropped > 0) log.info({ created, dropped }, 'daily partitions kept')
      while (!stop.aborted && (await deleteExpired(database, retentionMs)) === BATCH_ROWS);
    } catch (error) {
      log.warn({ err: describeError(error) }, 'published events could not be pruned; trying again')
    }
    await pause(EVERY_MS, stop)
  }
}

/** Without a retention there is no history to make room for; what is left of an earlier one goes. */
async function keepPartitions(database: Database, retentionMs: number) {
  const [row] = await database.run(
    'keeping the daily partitions',
    sql => sql<{ created: number; dropped: number }[]>`
      select * from outbox.keep_published(
        ${retentionMs}::float8 * interval '1 ms', ${retentionMs > 0 ? 7 : -1}
      )`,
  )
  return row ?? { created: 0, dropped: 0 }
}

/** Index: published_at. SKIP LOCKED, so that several replicas share the work instead of waiting for each other. */
async function deleteExpired(database: Database, retentionMs: number): Promise<number> {
  const { count } = await database.run('pruning published events', sql => {
    const table = retentionMs < DAY_MS ? sql`outbox.published` : sql`outbox.published_default`
    return sql`
      with old as (
        select tableoid, ctid from ${table}
        where published_at < now() - ${retentionMs}::float8 * interval '1 ms'
        order by published_at
        limit ${BATCH_ROWS}
        for update skip locked
      )
      delete from ${table} p
      using old
      where p.tableoid = old.tableoid and p.ctid = old.ctid`
  })
  return count
}
