import { migrate } from '../../src/migrate.ts'
import type { Sql } from '../../src/postgres/database.ts'

/** The schema `waiting_room` in a database that has `outbox` already. */
export async function applyConsumerSchema(sql: Sql): Promise<void> {
  await migrate({ sql, schemas: ['consumer'] })
}
