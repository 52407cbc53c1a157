import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Sql } from '../../src/postgres/database.ts'

const FILE = fileURLToPath(
  new URL('../../migrations/consumer/0001_waiting_room.sql', import.meta.url),
)

/** The schema `waiting_room` in a database that has `outbox` already. */
export async function applyConsumerSchema(sql: Sql): Promise<void> {
  await sql.unsafe(readFileSync(FILE, 'utf8'))
}
