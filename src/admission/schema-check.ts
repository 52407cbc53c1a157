import { SluiceError } from '../errors.ts'
import { pendingMigrations } from '../migrate.ts'
import type { Database } from '../postgres/database.ts'

/**
 * Checks that the schemas are those that admission of this build works with.
 * @throws SluiceError `schema`: migrations are missing, or were made by a newer build; `database`: no answer
 */
export async function checkAdmissionSchema(database: Database): Promise<void> {
  const pending = await database.run('checking the schema', async sql => [
    ...(await pendingMigrations(sql, 'outbox')),
    ...(await pendingMigrations(sql, 'consumer')),
    ...(await pendingMigrations(sql, 'admission')),
  ])
  if (pending.length === 0) return
  const text = `the database lacks ${pending.join(', ')}; run: sluice migrate outbox consumer admission`
  throw new SluiceError('schema', text, { details: { pending } })
}
