import type { Sql } from '../postgres/database.ts'

/** Without a keeper for so long, visitors are thought to have found nobody to show themselves to. */
export const BREAK_MS = 5_000

/** Tells that somebody looks after the rooms. Index attendance_pkey. */
export function attendStatement(sql: Sql) {
  return sql`
    insert into admission.attendance as a (since, beat_at) values (clock_timestamp(), clock_timestamp())
    on conflict (only_one) do update set
      since = case when a.beat_at < clock_timestamp() - ${BREAK_MS}::float8 * interval '1 ms'
        then clock_timestamp() else a.since end,
      beat_at = clock_timestamp()`
}
