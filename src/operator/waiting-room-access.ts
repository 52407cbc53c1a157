import { SluiceError } from '../errors.ts'
import { type OutboxAccess, withOutbox } from './outbox-access.ts'

/**
 * As `withOutbox`, for what reads or changes the waiting room, which lies in the same database.
 * @throws SluiceError `schema` with the cure when the schema `waiting_room` is missing
 */
export async function withWaitingRoom<T>(
  databaseUrl: string,
  command: string,
  work: (database: OutboxAccess) => Promise<T>,
): Promise<T> {
  try {
    return await withOutbox(databaseUrl, command, work)
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== 'schema') throw error
    const message =
      'the schema "waiting_room" is missing or too old; run: sluice migrate outbox consumer'
    throw new SluiceError('schema', message, { cause: error.cause })
  }
}
