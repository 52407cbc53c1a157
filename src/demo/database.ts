import postgres from 'postgres'
import type { Sql } from './shop-schema.ts'

/** Connections as a plain application would open them, except that no statement may wait for ever. */
export function openDatabase(url: string, applicationName: string, connectionsMax: number): Sql {
  return postgres(url, {
    max: connectionsMax,
    connect_timeout: 5,
    backoff: retries => Math.min(1, 0.05 * 2 ** Math.min(retries, 6)),
    onnotice: () => {},
    connection: {
      application_name: applicationName,
      statement_timeout: 30_000,
      idle_in_transaction_session_timeout: 30_000,
    } as unknown as Record<string, string>,
  }) as Sql
}
