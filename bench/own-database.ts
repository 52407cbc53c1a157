import { openDatabase } from '../src/demo/database.ts'
import { freshName } from '../src/demo/kafka.ts'
import type { Sql } from '../src/demo/shop-schema.ts'
import { migrate } from '../src/migrate.ts'

const CONNECTIONS_MAX = 4

/**
 * A database with both schemas, for this bench alone, dropped afterwards together with whoever is still connected.
 * @param url of one whose user may create databases
 */
export async function withOwnDatabase<T>(
  url: string,
  work: (own: { readonly url: string; readonly sql: Sql }) => Promise<T>,
): Promise<T> {
  const admin = openDatabase(url, 'sluice-bench', 1)
  const name = freshName('bench')
  await admin`create database ${admin(name)}`
  const address = new URL(url)
  address.pathname = `/${name}`
  const sql = openDatabase(address.href, 'sluice-bench', CONNECTIONS_MAX)
  try {
    await migrate({ databaseUrl: address.href, schemas: ['outbox', 'consumer'] })
    return await work({ url: address.href, sql })
  } finally {
    await sql.end({ timeout: 2 })
    await admin`drop database ${admin(name)} with (force)`
    await admin.end({ timeout: 2 })
  }
}
