import postgres from 'postgres'
import { migrate as applyMigrations } from '../../src/migrate.ts'
import type { Sql } from '../../src/postgres/database.ts'
import { cleanup } from './cleanup.ts'
import { databaseUrl, type Scope, uniqueName } from './parts.ts'

/** PostgreSQL cuts longer names. */
const NAME_LENGTH_MAX = 63
const STATEMENT_TIMEOUT_MS = 60_000

export interface TestDatabase {
  readonly url: string
  /** Up to five connections, closed after the test. */
  readonly sql: Sql
}

/**
 * A new database of its own, dropped after the test together with whoever is still connected to it.
 * @param t the test, or the suite, that it belongs to
 */
export async function createDatabase(
  t: Scope,
  { migrate = true }: { migrate?: boolean } = {},
): Promise<TestDatabase> {
  const name = uniqueName(t, NAME_LENGTH_MAX)
  await administer(admin => admin`create database ${admin(name)}`)
  const address = new URL(databaseUrl())
  address.pathname = `/${name}`
  const url = address.href
  const sql = open(url, 5)
  cleanup(t, async () => {
    await sql.end({ timeout: 1 })
    await administer(admin => admin`drop database if exists ${admin(name)} with (force)`)
  })
  if (migrate) await applyMigrations({ databaseUrl: url })
  return { url, sql }
}

async function administer(work: (admin: Sql) => PromiseLike<unknown>): Promise<void> {
  const admin = open(databaseUrl(), 1)
  try {
    await work(admin)
  } finally {
    await admin.end({ timeout: 1 })
  }
}

function open(url: string, connectionsMax: number): Sql {
  return postgres(url, {
    max: connectionsMax,
    connect_timeout: 5,
    onnotice: () => {},
    connection: { application_name: 'sluice test', statement_timeout: STATEMENT_TIMEOUT_MS },
  }) as unknown as Sql
}
