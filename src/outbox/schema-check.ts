import { describeError, SluiceError } from '../errors.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import { pendingMigrations } from '../migrate.ts'
import type { Log } from '../telemetry/log.ts'
import type { Database } from './database.ts'

/** A database that starts together with the relay is waited for this long. */
const WAIT_MS = 30_000
const AGAIN_MS = 500

/** SQLSTATE classes of wrong credentials and a database that does not exist: waiting would not help. */
const HOPELESS = /^(28|3D|42)/

/**
 * Waits until the database answers and checks that its schema is the one this build works with.
 * @throws SluiceError `schema`: migrations are missing, or were made by a newer build; `database`: no answer in time
 */
export async function awaitSchema(database: Database, log: Log, stop: AbortSignal): Promise<void> {
  const untilMs = monotonicMs() + WAIT_MS
  for (let told = false; ; ) {
    try {
      const pending = await database.run('checking the schema', sql => pendingMigrations(sql))
      if (pending.length === 0) return
      const text = `the schema lacks ${pending.join(', ')}; run: sluice migrate`
      throw new SluiceError('schema', text, { details: { pending } })
    } catch (error) {
      if (!mayComeUp(error) || stop.aborted || monotonicMs() > untilMs) throw error
      if (!told)
        log.warn({ err: describeError(error) }, 'the database does not answer; waiting for it')
      told = true
      await pause(AGAIN_MS, stop)
    }
  }
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
