import postgres from 'postgres'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import type { Database, Sql } from '../postgres/database.ts'

/** A shorter wait is not worth the statement that announces it. */
const WORTH_MS = 10
/** How much longer a sleep is announced for than it is to last; writers ring until then, also when the relay is up. */
const BEYOND_MS = 1_000
/** How often the bell is tried; a listener that does not hear it is replaced. */
const TRY_EVERY_MS = 30_000
const HEARD_WITHIN_MS = 5_000
const CHANNEL = 'sluice_outbox'

/**
 * Wakes a relay that waits between two polls. Polling is what events are found by; the bell only makes it sooner, so
 * nothing depends on its being heard: not through a pooler that drops LISTEN, not over a dead connection.
 *
 * Before a relay sleeps it writes so into the sequence `outbox.asleep_until` and reads once more, since a writer may
 * have looked just before. Writers that end a statement from then on ring (migration 0002).
 */
export class Doorbell {
  readonly #database: Database
  readonly #url: string
  readonly #name: string
  #listener: Sql
  #stopped = false
  #rung = false
  #wake = () => {}
  #announcedUntilMs = 0
  #triedAtMs = monotonicMs()
  #heardAtMs = monotonicMs()

  constructor(database: Database, url: string, applicationName: string) {
    this.#database = database
    this.#url = url
    this.#name = applicationName
    this.#listener = this.#listen()
  }

  /** Resolves when someone has rung, or `withinMs` have passed, or at once if a last look is due. Never rejects. */
  async await(withinMs: number, signal: AbortSignal): Promise<void> {
    if (withinMs < WORTH_MS) return pause(withinMs, signal)
    if (this.#announcedUntilMs < monotonicMs() + withinMs) return this.#announce(withinMs, signal)
    if (!this.#rung) await this.#ringOr(withinMs, signal)
    this.#rung = false
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#listener.end({ timeout: 1 })
  }

  async #ringOr(withinMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController()
    const wake = () => woken.abort()
    this.#wake = wake
    signal.addEventListener('abort', wake, { once: true })
    try {
      await pause(withinMs, woken.signal)
    } finally {
      signal.removeEventListener('abort', wake)
      this.#wake = () => {}
    }
  }

  async #announce(withinMs: number, signal: AbortSignal): Promise<void> {
    const nowMs = monotonicMs()
    const asleepMs = Math.ceil(withinMs) + BEYOND_MS
    const tries = nowMs - this.#triedAtMs > TRY_EVERY_MS
    try {
      await this.#database.run(
        'announcing a sleep',
        sql => sql`
          select
            setval('outbox.asleep_until', greatest(
              last_value, (extract(epoch from clock_timestamp()) * 1000)::bigint + ${asleepMs}::bigint
            )),
            case when ${tries}::boolean then pg_notify(${CHANNEL}, '')::text end
          from outbox.asleep_until`,
      )
      this.#announcedUntilMs = nowMs + asleepMs
      if (tries) this.#tryBell(nowMs)
    } catch {
      // The reading that follows meets the same database and tells of it.
      await pause(withinMs, signal)
    }
  }

  /** Sees whether the last try was heard. */
  #tryBell(nowMs: number): void {
    const deaf = this.#heardAtMs < this.#triedAtMs && nowMs - this.#triedAtMs > HEARD_WITHIN_MS
    this.#triedAtMs = nowMs
    if (!deaf || this.#stopped) return
    this.#listener.end({ timeout: 0 }).catch(() => {})
    this.#listener = this.#listen()
  }

  #listen(): Sql {
    const listener = postgres(this.#url, {
      max: 1,
      connect_timeout: 5,
      fetch_types: false,
      onnotice: () => {},
      connection: { application_name: this.#name },
    }) as Sql
    const heard = () => {
      this.#heardAtMs = monotonicMs()
      this.#rung = true
      this.#wake()
    }
    // What cannot be heard now is tried again with the next replacement.
    listener.listen(CHANNEL, heard).catch(() => {})
    return listener
  }
}

/**
 * Whether writers may be made to ring. A transaction that has rung cannot be prepared for two-phase commit, so a
 * server that allows such transactions is left in peace unless it is asked for.
 */
export async function mayRing(database: Database, wanted: 'auto' | 'on' | 'off'): Promise<boolean> {
  if (wanted !== 'auto') return wanted === 'on'
  const [row] = await database.run(
    'looking for two-phase commit',
    sql => sql<{ prepared: number }[]>`
      select current_setting('max_prepared_transactions')::int as prepared`,
  )
  return row?.prepared === 0
}
