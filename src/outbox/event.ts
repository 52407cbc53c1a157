/**
 * One row of `outbox.events`, as the relay sees it.
 *
 * `payload` is text (UTF-8 once encoded), bytes, or null for a tombstone; neither form is ever parsed,
 * so numbers beyond 2^53, key order and white space reach Kafka as the writer gave them.
 */
export interface OutboxEvent {
  readonly lane: number
  /** Ascending id given by the database: a decimal string, because it may exceed 2^53. */
  readonly id: string
  /** UUID that consumers dedupe by. */
  readonly eventId: string
  readonly topic: string
  /** Order is kept per (topic, key). null: no order is wanted. '' is a key like any other. */
  readonly key: string | null
  readonly eventType: string
  readonly payload: string | Uint8Array | null
  /** The row's headers as JSON text: an object of strings; '{}' when there are none. */
  readonly headersJson: string
  /** Its size in bytes when the payload was too large to be read at all; it is then absent. */
  readonly oversizedBytes?: number
  /** How often publishing has failed through the event's own fault. */
  readonly attempts: number
  /** Milliseconds from its creation until it was read, both by the database's clock. */
  readonly ageMs: number
  /** Its `expires_at` had passed, by the database's clock, when it was read. */
  readonly expired: boolean
}
