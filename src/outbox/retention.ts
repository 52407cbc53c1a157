import { describeError } from '../errors.ts'
import { pause } from '../internal/pause.ts'
import type { Log } from '../telemetry/log.ts'
import type { Database } from './database.ts'

/** Rows deleted by one statement: short enough to disturb nobody. */
const BATCH_ROWS = 5_000
const EVERY_MS = 60_000

/** Deletes published events older than the retention, in bounded statements, until it is stopped. */
export async function keepRetention(
  database: Database,
  retentionMs: number,
  log: Log,
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    try {
      const deleted = await deleteExpired(database, retentionMs)
      if (deleted === BATCH_ROWS) continue
    } catch (error) {
      log.warn({ err: describeError(error) }, 'published events could not be pruned; trying again')
    }
    await pause(EVERY_MS, stop)
  }
}

/** Index: published_at. SKIP LOCKED, so that several replicas share the work instead of waiting for each other. */
async function deleteExpired(database: Database, retentionMs: number): Promise<number> {
  const { count } = await database.run(
    'pruning published events',
    sql => sql`
      with old as (
        select tableoid, ctid from outbox.published
        where published_at < now() - ${retentionMs}::float8 * interval '1 ms'
        order by published_at
        limit ${BATCH_ROWS}
        for update skip locked
      )
      delete from outbox.published p
      using old
      where p.tableoid = old.tableoid and p.ctid = old.ctid`,
  )
  return count
}
