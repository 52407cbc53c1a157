import PQueue from 'p-queue'
import type { RelayListener } from '../events.ts'
import { fullJitterMs } from '../internal/backoff.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import type { OutboxAdapter, Reservation } from '../outbox/adapter.ts'
import type { Breakers } from './breakers.ts'
import { Pace } from './pace.ts'

export interface ReservingOptions {
  readonly adapter: OutboxAdapter
  readonly breakers: Breakers
  readonly batchSize: number
  readonly batchBytesMax: number
  readonly reserveMs: number
  readonly pollMs: number
  readonly emit: RelayListener
}

const BACKOFF_MS_MAX = 500

/** Reserving, one slot at a time: at the breakers' leave, at the pace that the findings set. */
export class Reserving {
  readonly #options: ReservingOptions
  readonly #turn = new PQueue({ concurrency: 1 })
  readonly #drain: AbortSignal
  readonly #pace: Pace
  #failures = 0
  #lastOkAtMs: number | null = null

  constructor(options: ReservingOptions, drain: AbortSignal) {
    this.#options = options
    this.#drain = drain
    this.#pace = new Pace(options.pollMs, drain, options.adapter.awaitEvents?.bind(options.adapter))
  }

  /** Monotonic time of the last round that the database answered. */
  get lastOkAtMs(): number | null {
    return this.#lastOkAtMs
  }

  async next(): Promise<Reservation | null> {
    return this.#turn.add(async () => {
      await this.#pace.nextTurn()
      return this.#drain.aborted ? null : this.#reserve()
    })
  }

  release(reservation: Reservation): void {
    this.#options.adapter.release(reservation)
    this.#pace.lanesFreed()
  }

  async #reserve(): Promise<Reservation | null> {
    const { adapter, breakers, batchSize, batchBytesMax: bytesMax, reserveMs, emit } = this.#options
    const limit = breakers.reservable(batchSize)
    if (limit === 0) {
      this.#pace.found(0)
      return null
    }
    const startedMs = monotonicMs()
    try {
      const exceptTopics = breakers.shutTopics()
      const reservation = await adapter.reserveNewEvents(limit, reserveMs, {
        exceptTopics,
        bytesMax,
      })
      const events = reservation?.events.length ?? 0
      this.#failures = 0
      this.#lastOkAtMs = monotonicMs()
      this.#pace.found(events)
      emit({ kind: 'reserved', events, durationMs: monotonicMs() - startedMs })
      return reservation
    } catch (error) {
      emit({ kind: 'reserve_failed', error })
      this.#failures++
      await pause(50 + fullJitterMs(this.#failures, 100, BACKOFF_MS_MAX), this.#drain)
      return null
    }
  }
}
