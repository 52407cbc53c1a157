import { describeError } from '../errors.ts'
import type { RelayListener } from '../events.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import type { Reservation } from '../outbox/adapter.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { Breakers } from './breakers.ts'
import type { Outcome, Producer, Unknown } from './producer.ts'
import { refusalOf } from './refusal.ts'
import type { Attempt } from './slot.ts'
import { tellPublished } from './tell-published.ts'

export interface PublishingOptions {
  readonly producer: Producer
  readonly breakers: Breakers
  readonly publishTimeoutMs: number
  readonly emit: RelayListener
}

/** Publishing a reservation: what must be refused is not sent, what a breaker holds back stays, the rest goes out. */
export class Publishing {
  readonly #options: PublishingOptions
  #lastOkAtMs: number | null = null

  constructor(options: PublishingOptions) {
    this.#options = options
  }

  /** Monotonic time of the last acknowledgement. */
  get lastOkAtMs(): number | null {
    return this.#lastOkAtMs
  }

  async publish(reservation: Reservation): Promise<Attempt[]> {
    const { breakers, emit } = this.#options
    const refused: Attempt[] = []
    const sendable: OutboxEvent[] = []
    for (const event of reservation.events) {
      const outcome = refusalOf(event)
      if (outcome) refused.push({ event, outcome })
      else sendable.push(event)
    }
    const admitted = breakers.admit(sendable)
    if (admitted.length === 0) return refused
    const startedMs = monotonicMs()
    const outcomes = await this.#send(admitted, reservation.trustedUntilMs)
    breakers.record(admitted, outcomes)
    if (outcomes.some(({ kind }) => kind === 'acked')) this.#lastOkAtMs = monotonicMs()
    const attempts = admitted.map((event, index) => attemptOf(event, outcomes[index]))
    tellPublished(emit, attempts, monotonicMs() - startedMs)
    return [...refused, ...attempts]
  }

  /** Never past the lease: another replica may send the same events from then on. */
  async #send(events: readonly OutboxEvent[], trustedUntilMs: number): Promise<Outcome[]> {
    const { producer, publishTimeoutMs } = this.#options
    const untilMs = Math.min(monotonicMs() + publishTimeoutMs, trustedUntilMs)
    try {
      return await producer.publish(events, untilMs)
    } catch (error) {
      return events.map(() => failed(describeError(error)))
    }
  }
}

function attemptOf(event: OutboxEvent, outcome: Outcome | undefined): Attempt {
  return { event, outcome: outcome ?? failed('the producer gave no outcome for the event') }
}

function failed(message: string): Unknown {
  return { kind: 'unknown', code: 'producer_failed', message, fault: 'producer', scope: 'cluster' }
}
