import PQueue from 'p-queue'
import type { BreakerState, RelayEvent } from '../events.ts'
import type { Database } from '../postgres/database.ts'

/**
 * Shows this replica's breakers in `outbox.breakers`. Only the last state of each is written, one statement at a
 * time; what cannot be written now is written with the next change.
 */
export class BreakerBoard {
  readonly #database: Database
  readonly #replica: string
  readonly #writing = new PQueue({ concurrency: 1 })
  readonly #changed = new Map<string, { state: BreakerState; reason: string }>()

  constructor(database: Database, replica: string) {
    this.#database = database
    this.#replica = replica
  }

  readonly listener = (event: RelayEvent): void => {
    // The database's own cannot be written where it would be read.
    if (event.kind !== 'breaker_changed' || event.breaker === 'database') return
    this.#changed.set(event.breaker, { state: event.state, reason: event.reason })
    if (this.#writing.size > 0) return
    this.#writing.add(() => this.#write()).catch(() => {})
  }

  async #write(): Promise<void> {
    for (const [breaker, { state, reason }] of [...this.#changed]) {
      this.#changed.delete(breaker)
      try {
        await (state === 'closed' ? this.#remove(breaker) : this.#put(breaker, state, reason))
      } catch {
        // A board that lags is no fault of the relay's; the log has the change.
        if (!this.#changed.has(breaker)) this.#changed.set(breaker, { state, reason })
        return
      }
    }
  }

  async #put(breaker: string, state: BreakerState, reason: string): Promise<void> {
    await this.#database.run(
      'showing a breaker',
      sql => sql`
        insert into outbox.breakers (replica, breaker, state, reason)
        select r.replica, ${breaker}, ${state}, ${reason}
        from outbox.replicas r
        where r.replica = ${this.#replica}
        on conflict (replica, breaker) do update set state = excluded.state, reason = excluded.reason`,
    )
  }

  async #remove(breaker: string): Promise<void> {
    await this.#database.run(
      'removing a breaker',
      sql =>
        sql`delete from outbox.breakers where replica = ${this.#replica} and breaker = ${breaker}`,
    )
  }
}
