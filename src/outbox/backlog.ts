import type { Database } from '../postgres/database.ts'

/** Rows are counted up to here: a count of everything would cost more than it tells. */
export const BACKLOG_COUNT_MAX = 10_000

export interface Backlog {
  /** Waiting events, counted up to `BACKLOG_COUNT_MAX`. */
  readonly waiting: number
  /** Age of the oldest event that is due, in seconds; null when none is. */
  readonly oldestDueAgeSeconds: number | null
  /** Dead letters, counted up to `BACKLOG_COUNT_MAX`. */
  readonly deadLetters: number
}

/**
 * A look at the backlog that costs the same however large it is. The oldest is that of the lanes' first due
 * events, looked for among the first thousand rows of each lane.
 * Index: primary key (lane, id), 64 short scans.
 */
export async function measureBacklog(database: Database): Promise<Backlog> {
  const [row] = await database.run(
    'measuring the backlog',
    sql => sql<{ waiting: number; oldest: number | null; dead: number }[]>`
      select
        (select count(*)::int from (select from outbox.events limit ${BACKLOG_COUNT_MAX}) w) as waiting,
        (select extract(epoch from now() - min(head.created_at))::float8
         from generate_series(0, 63) as l (lane)
         cross join lateral (
           select first.created_at
           from (
             select e.created_at, e.not_before from outbox.events e where e.lane = l.lane order by e.id limit 1000
           ) first
           where first.not_before is null or first.not_before <= now()
           limit 1
         ) head) as oldest,
        (select count(*)::int from (select from outbox.dead_letters limit ${BACKLOG_COUNT_MAX}) d) as dead`,
  )
  return {
    waiting: row?.waiting ?? 0,
    oldestDueAgeSeconds: row?.oldest ?? null,
    deadLetters: row?.dead ?? 0,
  }
}
