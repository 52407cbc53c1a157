import type { TestContext } from 'node:test'
import { outboxAdapterContract } from '../contract/outbox-adapter.ts'
import type { OutboxUnderTest } from '../contract/outbox-adapter-rig.ts'
import { openAdapter } from '../support/adapter.ts'
import { createDatabase } from '../support/database.ts'

for (const retentionMs of [0, 3_600_000]) {
  const name = retentionMs === 0 ? 'PostgreSQL' : 'PostgreSQL with history'
  outboxAdapterContract(name, t => open(t, retentionMs))
}

async function open(t: TestContext, retentionMs: number): Promise<OutboxUnderTest> {
  const { url, sql } = await createDatabase(t)
  return {
    openReplica: () => openAdapter(t, url, { reserveMs: 60_000, retentionMs }).adapter,
    write: async rows => {
      await sql.begin(async tx => {
        for (const row of rows) {
          const {
            topic = 't',
            key = 'k',
            eventType = 'T',
            headersJson = '{}',
            payload = null,
          } = row
          const json = typeof payload === 'string' ? payload : null
          const bytes = payload instanceof Uint8Array ? Buffer.from(payload) : null
          await tx`
            insert into outbox.events (
              topic, key, event_type, headers, payload, payload_bytes, not_before, expires_at
            ) values (
              ${topic}, ${key}, ${eventType}, ${headersJson}::text::jsonb, ${json}::text::json, ${bytes},
              now() + ${row.notBeforeInMs ?? null}::float8 * interval '1 ms',
              now() + ${row.expiresInMs ?? null}::float8 * interval '1 ms'
            )`
        }
      })
    },
    waiting: async () => [
      ...(await sql<{ key: string | null; attempts: number }[]>`
        select key, attempts from outbox.events order by id`),
    ],
    deadLetters: async () => [
      ...(await sql<{ eventId: string; reason: string; error: string }[]>`
        select event_id as "eventId", reason, error from outbox.dead_letters order by id`),
    ],
    makeDue: async () => void (await sql`update outbox.events set not_before = now()`),
    takeOver: async () =>
      void (await sql`
        update outbox.lanes
        set owner = 'another replica', epoch = epoch + 1, leased_until = now() + interval '1 hour'`),
  }
}
