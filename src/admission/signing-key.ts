import { randomBytes } from 'node:crypto'
import { SluiceError } from '../errors.ts'
import type { Database } from '../postgres/database.ts'

const KEY_BYTES = 32
const ROUNDS_MAX = 5

/**
 * The key that signs tokens when none is given: kept in the database, and made by whoever asks first, so that all
 * processes have the same.
 * @throws SluiceError `database`
 */
export async function readSigningKey(database: Database): Promise<Buffer> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const [row] = await database.run(
      'reading the signing key',
      sql => sql<{ secret: Buffer }[]>`select k.secret from admission.signing_key k`,
    )
    if (row) return row.secret
    await database.run(
      'making a signing key',
      sql => sql`
        insert into admission.signing_key (secret) values (${randomBytes(KEY_BYTES)}::bytea)
        on conflict (only_one) do nothing`,
    )
  }
  throw new SluiceError('database', 'the signing key is removed as soon as it is made')
}
