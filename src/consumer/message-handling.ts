import type { Delivery } from './delivery-store.ts'
import type { Message, SourceRecord } from './message.ts'
import type { Outcome } from './outcome.ts'
import type { Tx } from './tx.ts'

/** What reading a record, outside of any transaction, has found. */
export type Reading<T = unknown> =
  | {
      readonly kind: 'message'
      readonly delivery: Delivery
      readonly message: Message<T>
      readonly delayUntil: Date | null
      readonly expiresAt: Date | null
    }
  | { readonly kind: 'bad'; readonly delivery: Delivery; readonly reason: string }
  /** For another group, or of a type that this subscription does not want. */
  | { readonly kind: 'ignored'; readonly delivery: Delivery }

export interface HandleOptions {
  /** Counts from 1, this one included. */
  readonly attempt: number
  /** Aborted: the handler is to leave, and its effects are rolled back. */
  readonly signal: AbortSignal
}

/** How one message is handled, whether it comes from Kafka or from the waiting room. */
export interface MessageHandling<T = unknown> {
  /** Never throws. @param messageId that of a task, which may differ from the record's */
  read(record: SourceRecord, messageId?: string): Reading<T>
  /**
   * Calls the handler, within its time.
   * @throws NotDone for every outcome but `done`
   */
  handle(message: Message<T>, tx: Tx, options: HandleOptions): Promise<void>
  /** The outcome of whatever was thrown on the way: by the handler, the store, or the commit. */
  outcomeOf(error: unknown): Exclude<Outcome, { kind: 'done' }>
}

/** Rolls the transaction back; what is to become of the message is in `outcome`. */
export class NotDone extends Error {
  override readonly name = 'NotDone'
  readonly outcome: Exclude<Outcome, { kind: 'done' }>

  constructor(outcome: Exclude<Outcome, { kind: 'done' }>, cause?: unknown) {
    super(`not done: ${outcome.kind}`, cause === undefined ? undefined : { cause })
    this.outcome = outcome
  }
}
