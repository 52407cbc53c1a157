import type { OutboxEvent } from '../outbox/event.ts'

/** The broker has stored the event. */
export interface Acked {
  readonly kind: 'acked'
  readonly partition: number
  /** Offset as a decimal string. */
  readonly offset: string
}

/** The event itself was refused; its neighbours were not. */
export interface Rejected {
  readonly kind: 'rejected'
  /** Short code such as `message_too_large`; it becomes the reason of a dead letter. */
  readonly code: string
  readonly message: string
  /** The same bytes can never be accepted: no further attempt is worth it. */
  readonly permanent: boolean
}

/**
 * Not known to be stored, and not the event's fault: time-out, reset, refused credentials, missing
 * topic, or held back behind an earlier event of its key. It must be tried again before any later
 * event of its key, and costs it nothing.
 */
export interface Unknown {
  readonly kind: 'unknown'
  /** Short code such as `timeout`, `key_held`, `UNKNOWN_TOPIC_OR_PARTITION`. */
  readonly code: string
  readonly message: string
  /** Whose fault: the brokers', our credentials and settings (`producer`), or nobody's (`held`). */
  readonly fault: 'broker' | 'producer' | 'held'
  /** How far the fault reaches. */
  readonly scope: 'cluster' | 'topic'
}

export type Outcome = Acked | Rejected | Unknown

/**
 * PORT: publishes batches.
 *
 * A producer owes the relay: one outcome per event, in the batch's order; the events of one (topic, key)
 * sent in that order, none after the first of its key that was not acked; no send begun after `untilMs`,
 * and an answer by then; no retry of its own beyond it. It never rejects for a broker's or an event's fault.
 */
export interface Producer {
  /** @param untilMs monotonic deadline (`monotonicMs()`), shared by all threads of the process */
  publish(batch: readonly OutboxEvent[], untilMs: number): Promise<Outcome[]>
  /** Closes connections; resolves within `graceMs` even when the broker is black-holed. */
  close(graceMs: number): Promise<void>
}
