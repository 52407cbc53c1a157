import type { OutboxEvent } from './event.ts'

/** The right to work one lane. A confirm that names a stale epoch changes nothing. */
export interface LaneLease {
  readonly lane: number
  /** Fencing number as a decimal string; it grows with each change of owner. */
  readonly epoch: string
}

/** Events read under lane leases, in the order in which each lane's events must be published. */
export interface Reservation {
  readonly events: readonly OutboxEvent[]
  /** The leases of the lanes that contributed events. */
  readonly leases: readonly LaneLease[]
  /**
   * Monotonic time (`monotonicMs()`) until which the leases can be relied on. Nothing may be sent to
   * the broker after it: another replica may own the lanes by then.
   */
  readonly trustedUntilMs: number
}

export interface ReserveOptions {
  /** Topics whose events stay where they are for now; other topics go on. */
  readonly exceptTopics: readonly string[]
  /** Payload bytes of one reservation: no event is added to one that has reached them. */
  readonly bytesMax: number
}

/** An event that the broker has acknowledged. */
export interface PublishedEvent {
  readonly event: OutboxEvent
  readonly partition: number
  /** Offset as a decimal string. */
  readonly offset: string
}

/** An event that was refused through its own fault. */
export interface FailedEvent {
  readonly event: OutboxEvent
  /** retry: an attempt is spent and the event waits `retryDelayMs`; dead: it becomes a dead letter. */
  readonly kind: 'retry' | 'dead'
  /** Short code, such as `message_too_large` or `expired`; it becomes a metric label. */
  readonly reason: string
  readonly error: string
  /** How long the event, and its key with it, waits before the next attempt. 0 for `dead`. */
  readonly retryDelayMs: number
  /**
   * A dead letter behind which later events of its topic and key wait until someone has requeued or discarded it.
   * Default false.
   */
  readonly blocksKey?: boolean
}

export interface Settled {
  /** Rows that changed. */
  readonly settled: number
  /** Rows that a stale epoch, or someone else's hand, kept this call from changing. */
  readonly fenced: number
  /** Of `confirmFailed`, when only some of the refusals were recorded: the ids of those events. */
  readonly ids?: ReadonlySet<string>
}

/**
 * PORT: where the events wait. Named after the package that document 003 describes.
 *
 * An adapter owes the relay three things. Two live reservations never hold events of one (topic, key).
 * Within a reservation the events of a key stand in their order, and none is missing in front of them
 * but those waiting for a delivery delay. `confirm` and `confirmFailed` change nothing for a lane whose
 * lease has passed to another replica.
 *
 * Every method may reject with a `SluiceError` of code `database`; the relay then backs off and calls again.
 */
export interface OutboxAdapter {
  /**
   * Leases lanes for `reserveDurationMs` where needed and reads their next due events.
   *
   * @param limit rows at most, ≥ 1
   * @param reserveDurationMs lease length in milliseconds
   * @returns null when nothing can be reserved now. A reservation must be ended by `release`.
   */
  reserveNewEvents(
    limit: number,
    reserveDurationMs: number,
    options: ReserveOptions,
  ): Promise<Reservation | null>

  /** Records that the broker has these events: they leave the outbox. Safe to repeat. */
  confirm(reservation: Reservation, published: readonly PublishedEvent[]): Promise<Settled>

  /** Records refusals: attempts and the next try, or the dead letter. Safe to repeat. */
  confirmFailed(reservation: Reservation, failures: readonly FailedEvent[]): Promise<Settled>

  /**
   * Extends the leases of a reservation that takes longer than planned.
   * @returns the new `trustedUntilMs`; 0 when a lane has been lost, and nothing may be sent any more
   */
  renew(reservation: Reservation, reserveDurationMs: number): Promise<number>

  /**
   * Optional: waits until new events may be there, `withinMs` at the longest; resolves early too when the signal is
   * aborted. It may resolve sooner without a reason. Without it the relay polls alone. Never rejects.
   */
  awaitEvents?(withinMs: number, signal: AbortSignal): Promise<void>

  /** Ends a reservation. Events that were neither confirmed nor failed will be reserved again. Never rejects. */
  release(reservation: Reservation): void

  /** Releases everything held, so that other replicas take over at once. Safe to call twice. */
  stop(): Promise<void>
}
