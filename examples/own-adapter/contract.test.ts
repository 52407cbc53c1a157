// node --import tsx --test examples/own-adapter/contract.test.ts
// Empties shop.messages of the database at DATABASE_URL.
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { outboxAdapterContract } from '../../src/testing/index.ts' // 'sluice-outbox/testing' in your project
import { MessageAdapter } from './message-adapter.ts'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, allowExitOnIdle: true })
const schema = await readFile(new URL('schema.sql', import.meta.url), 'utf8')
await pool.query(schema)

outboxAdapterContract('shop.messages', async () => {
  await pool.query(`truncate shop.messages; update shop.lease set owner = null`)
  return {
    oneAtATime: true,
    openReplica: () => new MessageAdapter(pool),
    write: async rows => {
      for (const row of rows) {
        const { topic = 't', key = 'k', eventType = 'T', payload = null, headersJson = '{}' } = row
        const isBytes = payload instanceof Uint8Array
        await pool.query(
          `insert into shop.messages (channel, subject, kind, body, body_bytes, headers, deliver_after, expires_at)
           values ($1, $2, $3, $4, $5, $6, now() + $7 * interval '1 ms', now() + $8 * interval '1 ms')`,
          [
            ...[topic, key, eventType, isBytes ? null : payload, isBytes ? payload : null],
            ...[headersJson, row.notBeforeInMs ?? 0, row.expiresInMs ?? null],
          ],
        )
      }
    },
    waiting: async () => {
      const select = 'select subject as key, attempts from shop.messages where not dead order by id'
      return (await pool.query(select)).rows
    },
    deadLetters: async () => {
      const select = `select message_id as "eventId", reason, error from shop.messages where dead order by id`
      return (await pool.query(select)).rows
    },
    makeDue: async () => void (await pool.query('update shop.messages set deliver_after = now()')),
    takeOver: async () => {
      const update = `update shop.lease
        set owner = 'another', epoch = epoch + 1, leased_until = now() + interval '1 hour'`
      await pool.query(update)
    },
  }
})
