import type { Sql } from '../../src/postgres/database.ts'

/** A dead letter; what is not given is as most are. */
export interface Given {
  readonly id: number
  readonly topic?: string
  readonly key?: string | null
  readonly reason?: string
  readonly error?: string
  readonly minutesAgo?: number
  readonly expiresIn?: string | null
  readonly blocks?: boolean
}

/** Puts an event where the relay would have put it. */
export async function bury(sql: Sql, given: Given): Promise<void> {
  const { id, topic = 'orders', key = 'k', reason = 'message_too_large', error = 'too big' } = given
  const { minutesAgo = 1, expiresIn = null, blocks = false } = given
  await sql`
    insert into outbox.dead_letters (
      id, lane, event_id, topic, key, event_type, headers, payload, created_at, expires_at, attempts, reason, error,
      dead_at, history, blocks_key
    )
    select ${id}, (case when ${key}::text is null then ${id}::bigint & 63 else hashtextextended(${key}, 0) & 63 end),
      ('00000000-0000-4000-8000-' || lpad(${id}::text, 12, '0'))::uuid, ${topic}, ${key}, 'T', '{"a":"b"}',
      '{"n" : 1.0}', '2026-01-02T03:04:05Z', now() + ${expiresIn}::interval, 7, ${reason}, ${error},
      now() - ${minutesAgo} * interval '1 minute',
      '[{"at":"2026-01-02T03:04:06Z","attempt":1,"reason":"invalid_record","error":"first"}]', ${blocks}`
}

/** Dead letters of a hundred keys, with ids from 1 on. */
export async function buryMany(sql: Sql, events: number): Promise<void> {
  await sql`
    insert into outbox.dead_letters (id, lane, event_id, topic, key, event_type, headers, created_at, attempts, reason, error)
    select n, hashtextextended('k' || n % 100, 0) & 63, gen_random_uuid(), 'orders', 'k' || n % 100, 'T', '{}', now(),
      3, 'message_too_large', 'too big'
    from generate_series(1, ${events}::int) n`
}

/** Everything that a command could have changed. */
export async function contents(sql: Sql): Promise<unknown> {
  const [row] = await sql`
    select (select jsonb_agg(d order by id) from outbox.dead_letters d) as dead,
      (select jsonb_agg(e order by id) from outbox.events e) as events,
      (select jsonb_agg(a order by id) from outbox.audit a) as audit`
  return row
}
