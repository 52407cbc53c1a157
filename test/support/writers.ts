import type { TestContext } from 'node:test'
import pg from 'pg'
import postgres from 'postgres'
import { enqueue } from '../../src/outbox/enqueue.ts'
import type { NewEvent } from '../../src/outbox/new-event.ts'
import { cleanup } from './cleanup.ts'
import { createDatabase } from './database.ts'

/** A database; what `closers` are given is called before it is dropped. */
export async function open(t: TestContext, { migrate }: { migrate: boolean }) {
  const database = await createDatabase(t, { migrate })
  const closers = { push: (close: () => Promise<void>) => cleanup(t, close) }
  return { ...database, closers }
}

/** A migrated database, and what the outbox holds. */
export async function setup(t: TestContext) {
  const { url, sql, closers } = await open(t, { migrate: true })
  const rows = () => sql`
    select id::text, event_id, topic, key, event_type, payload::text, payload_bytes, headers,
      not_before, expires_at, lane, attempts
    from outbox.events order by events.id`
  return { url, sql, rows, closers }
}

export type WriterDatabase = Omit<Awaited<ReturnType<typeof setup>>, 'rows'>

/** A client of pg outside of a transaction. */
export async function pgClient({ url, closers }: Omit<WriterDatabase, 'sql'>): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  closers.push(() => client.end())
  return client
}

export type Write = <T extends NewEvent | readonly NewEvent[]>(
  given: T,
  last?: 'commit' | 'rollback',
) => Promise<T extends readonly NewEvent[] ? string[] : string>

/** Writes by each driver in a transaction that ends as told. */
export async function writers({ url, sql, closers }: WriterDatabase): Promise<[string, Write][]> {
  const client = await pgClient({ url, closers })
  const unprepared = postgres(url, { max: 1, prepare: false })
  closers.push(() => unprepared.end({ timeout: 1 }))
  const undo = new Error('undo')
  const byPostgresJs = (db: postgres.Sql) =>
    (async (given: NewEvent, last = 'commit') => {
      let ids: unknown
      await db
        .begin(async tx => {
          ids = await enqueue(tx, given)
          if (last === 'rollback') throw undo
        })
        .catch(error => {
          if (error !== undo) throw error
        })
      return ids
    }) as unknown as Write
  const byPg = (async (given: NewEvent, last = 'commit') => {
    await client.query('begin')
    const ids = await enqueue(client, given)
    await client.query(last)
    return ids
  }) as unknown as Write
  return [
    ['postgres.js', byPostgresJs(sql)],
    ['postgres.js without prepared statements', byPostgresJs(unprepared)],
    ['pg', byPg],
  ]
}
