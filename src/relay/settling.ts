import type { RelayListener } from '../events.ts'
import { fullJitterMs } from '../internal/backoff.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import type {
  FailedEvent,
  OutboxAdapter,
  PublishedEvent,
  Reservation,
  Settled,
} from '../outbox/adapter.ts'
import { failureOf, type RetryPolicy } from './retry-policy.ts'
import type { Attempt } from './slot.ts'

export interface SettlingOptions {
  readonly adapter: OutboxAdapter
  readonly policy: RetryPolicy
  readonly emit: RelayListener
  /** The grace time of a stop is over. */
  readonly abandon: AbortSignal
}

/** Pause after a batch of which something could not be published, so that a dead broker is not hammered. */
const UNKNOWN_PAUSE_MS = 200

/**
 * Recording what became of a reservation's events. Unknown outcomes need no record: their events are still in the
 * outbox, before all later ones of their keys.
 */
export class Settling {
  readonly #options: SettlingOptions

  constructor(options: SettlingOptions) {
    this.#options = options
  }

  async settle(
    reservation: Reservation,
    attempts: readonly Attempt[],
    drain: AbortSignal,
    turn: () => void,
  ): Promise<void> {
    const { adapter, policy } = this.#options
    const published: PublishedEvent[] = []
    const failures: FailedEvent[] = []
    for (const { event, outcome } of attempts) {
      if (outcome.kind === 'acked') published.push({ event, ...outcome })
      if (outcome.kind === 'rejected') failures.push(failureOf(event, outcome, policy))
    }
    if (published.length > 0) {
      await this.#record(turn, () => adapter.confirm(reservation, published))
    }
    if (failures.length > 0) {
      const recorded = await this.#record(turn, () => adapter.confirmFailed(reservation, failures))
      for (const failure of recordedOf(failures, recorded)) this.#tell(failure)
    }
    if (published.length + failures.length < attempts.length) {
      await pause(UNKNOWN_PAUSE_MS * (0.5 + Math.random()), drain)
    }
  }

  /**
   * Repeats until the database has answered, however long that takes: giving up would publish the events again. It
   * may answer that the lanes are another replica's by now, and that is an answer too.
   */
  async #record(turn: () => void, write: () => Promise<Settled>): Promise<Settled | null> {
    const { emit, abandon } = this.#options
    const startedMs = monotonicMs()
    for (let failures = 0; ; ) {
      turn()
      try {
        const settled = await write()
        emit({
          kind: 'confirmed',
          events: settled.settled,
          fenced: settled.fenced,
          durationMs: monotonicMs() - startedMs,
        })
        return settled
      } catch (error) {
        emit({ kind: 'confirm_failed', error })
        failures++
        await pause(20 + fullJitterMs(failures, 50, 500), abandon)
        if (abandon.aborted) return null
      }
    }
  }

  #tell({ event, kind, reason, error, retryDelayMs }: FailedEvent): void {
    const { topic, id, eventId, attempts } = event
    if (kind === 'dead') {
      this.#options.emit({ kind: 'dead_lettered', topic, id, eventId, reason, error })
      return
    }
    const attempt = attempts + 1
    const facts = { topic, id, eventId, attempt, reason, retryDelayMs }
    this.#options.emit({ kind: 'retry_scheduled', ...facts })
  }
}

/** Of a batch whose lanes were partly lost, only some refusals are recorded. */
function recordedOf(
  failures: readonly FailedEvent[],
  recorded: Settled | null,
): readonly FailedEvent[] {
  if (recorded === null || recorded.settled === 0) return []
  const { ids } = recorded
  return ids ? failures.filter(({ event }) => ids.has(event.id)) : failures
}
