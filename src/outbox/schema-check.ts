import { describeError, SluiceError } from '../errors.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import { pendingMigrations } from '../migrate.ts'
import type { Database } from '../postgres/database.ts'
import type { Log } from '../telemetry/log.ts'

/** A database that starts together with the relay is waited for this long. */
const WAIT_MS = 30_000
const AGAIN_MS = 500

/** SQLSTATE classes of wrong credentials and a database that does not exist: waiting would not help. */
const HOPELESS = /^(28|3D|42)/

/**
 * Does what a start needs of the database, again and again while the database cannot be reached: it may be starting
 * too, or failing over.
 * @throws what `work` does, when waiting is of no use or has taken too long
 */
export async function whenReachable<T>(
  work: () => Promise<T>,
  log: Log,
  stop: AbortSignal,
): Promise<T> {
  const untilMs = monotonicMs() + WAIT_MS
  for (let told = false; ; ) {
    try {
      return await work()
    } catch (error) {
      if (!mayComeUp(error) || stop.aborted || monotonicMs() > untilMs) throw error
      if (!told)
        log.warn({ err: describeError(error) }, 'the database cannot be used yet; waiting for it')
      told = true
      await pause(AGAIN_MS, stop)
    }
  }
}

/**
 * Checks that the schema is the one this build works with.
 * @throws SluiceError `schema`: migrations are missing, or were made by a newer build; `database`: no answer
 */
export async function checkSchema(database: Database): Promise<void> {
  const pending = await database.run('checking the schema', sql => pendingMigrations(sql))
  if (pending.length === 0) return
  const text = `the schema lacks ${pending.join(', ')}; run: sluice migrate`
  throw new SluiceError('schema', text, { details: { pending } })
}

function mayComeUp(error: unknown): boolean {
  if (!(error instanceof SluiceError) || error.code !== 'database') return false
  let cause: unknown = error
  while (cause instanceof Error) {
    if (HOPELESS.test(String((cause as { code?: unknown }).code ?? ''))) return false
    cause = cause.cause
  }
  return true
}
