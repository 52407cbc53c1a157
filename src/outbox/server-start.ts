import type { Sql } from '../postgres/database.ts'

/**
 * An expression that changes whenever the server has lost its memory: by a start of the postmaster, or by the crash of
 * a backend, after which the postmaster runs on but its statistics begin anew.
 */
export function serverStart(sql: Sql) {
  return sql`pg_postmaster_start_time()::text || ' ' || coalesce(pg_stat_get_bgwriter_stat_reset_time()::text, '')`
}
