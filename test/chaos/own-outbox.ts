import postgres from 'postgres'
import { migrate } from '../../src/migrate.ts'
import { cleanup } from '../support/cleanup.ts'
import { type Scope, uniqueName } from '../support/parts.ts'
import type { OwnPostgres } from './faults/own-postgres.ts'

/** PostgreSQL cuts longer names. */
const NAME_LENGTH_MAX = 63

export interface OwnOutbox {
  /** Through the proxy: for the relay. */
  readonly url: string
  /** Past the proxy: for writers and checkers. */
  readonly directUrl: string
  /** Past the proxy. */
  readonly sql: postgres.Sql
}

/** A migrated database of its own on a server of the test's own; it goes with the server. */
export async function ownOutbox(t: Scope, server: OwnPostgres): Promise<OwnOutbox> {
  const name = uniqueName(t, NAME_LENGTH_MAX)
  const admin = postgres(server.directUrl, { max: 1, onnotice: () => {} })
  await admin`create database ${admin(name)}`
  await admin.end({ timeout: 1 })
  const directUrl = inDatabase(server.directUrl, name)
  await migrate({ databaseUrl: directUrl })
  const sql = postgres(directUrl, { max: 2, onnotice: () => {} })
  cleanup(t, () => sql.end({ timeout: 1 }))
  return { url: inDatabase(server.url, name), directUrl, sql }
}

function inDatabase(serverUrl: string, name: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}
