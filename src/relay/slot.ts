import { monotonicMs } from '../internal/monotonic.ts'
import type { Reservation } from '../outbox/adapter.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { Outcome } from './producer.ts'

/** What a slot is given to work with; `Relay` provides it. */
export interface SlotWork {
  /** The next events, or null when there are none for now; waits as long as polling wants. */
  reserve(): Promise<Reservation | null>
  /** Outcomes of the events that were tried, in order. The others stay where they are. */
  publish(reservation: Reservation): Promise<Attempt[]>
  /** Records what became of them; repeats until the database has answered, calling `turn` each time. */
  settle(reservation: Reservation, attempts: readonly Attempt[], turn: () => void): Promise<void>
  release(reservation: Reservation): void
}

export interface Attempt {
  readonly event: OutboxEvent
  readonly outcome: Outcome
}

/** One sequential loop over reservations. Several run side by side, never on the same lane. */
export class Slot {
  readonly name: string
  readonly #work: SlotWork
  readonly #drain: AbortSignal
  #lastTurnAtMs = monotonicMs()

  constructor(name: string, work: SlotWork, drain: AbortSignal) {
    this.name = name
    this.#work = work
    this.#drain = drain
  }

  /** Monotonic time of the loop's last turn, for the liveness check. */
  get lastTurnAtMs(): number {
    return this.#lastTurnAtMs
  }

  async run(): Promise<void> {
    while (!this.#drain.aborted) {
      this.#turn()
      const reservation = await this.#work.reserve()
      if (reservation === null) continue
      try {
        const attempts = await this.#work.publish(reservation)
        await this.#work.settle(reservation, attempts, () => this.#turn())
      } finally {
        this.#work.release(reservation)
      }
    }
  }

  #turn(): void {
    this.#lastTurnAtMs = monotonicMs()
  }
}
