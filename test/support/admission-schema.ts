import { migrate } from '../../src/migrate.ts'
import type { Sql } from '../../src/postgres/database.ts'

/** The schemas `waiting_room` and `admission` in a database that has `outbox` already. */
export async function applyAdmissionSchema(sql: Sql): Promise<void> {
  await migrate({ sql, schemas: ['consumer', 'admission'] })
}
