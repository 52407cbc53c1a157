import postgres from 'postgres'
import { SluiceError } from '../errors.ts'

/** A client of postgres.js, whatever types it was told of. */
export type Sql = postgres.Sql<Record<string, unknown>>

const CONNECT_TIMEOUT_SECONDS = 5
const CLOSE_TIMEOUT_SECONDS = 1

/**
 * Runs `work` on one connection of its own, which is closed afterwards.
 * @throws SluiceError `options` when the URL cannot be read; else what `work` throws
 */
export async function withConnection<T>(
  databaseUrl: string,
  applicationName: string,
  work: (sql: Sql) => Promise<T>,
): Promise<T> {
  const sql = open(databaseUrl, applicationName)
  try {
    return await work(sql)
  } finally {
    await sql.end({ timeout: CLOSE_TIMEOUT_SECONDS })
  }
}

function open(databaseUrl: string, applicationName: string): Sql {
  try {
    return postgres(databaseUrl, {
      max: 1,
      connect_timeout: CONNECT_TIMEOUT_SECONDS,
      idle_timeout: 0,
      fetch_types: false,
      // Named statements do not survive every transaction pooler, and nothing here runs twice.
      prepare: false,
      onnotice: () => {},
      connection: { application_name: applicationName },
    }) as unknown as Sql
  } catch {
    // The cause carries the URL, and with it the password.
    throw new SluiceError(
      'options',
      'DATABASE_URL is not a URL: write postgres://user:password@host:5432/database',
    )
  }
}
