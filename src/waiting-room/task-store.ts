import type { Due } from '../consumer/delivery-store.ts'
import type { SourceRecord } from '../consumer/message.ts'
import type { Tx } from '../consumer/tx.ts'

/** A task that a worker has, until its lease ends. */
export interface ClaimedTask {
  /** Decimal. */
  readonly id: string
  readonly token: string
  readonly messageId: string
  readonly record: SourceRecord
  readonly ordered: boolean
  /** This one included. */
  readonly attempts: number
  readonly expiresAt: Date | null
  /** Published there when due, instead of being handled. */
  readonly retryTopic: string | null
  /** How long after its time it was claimed. */
  readonly lateMs: number
}

export interface ClaimOrder {
  readonly limit: number
  readonly leaseMs: number
}

/** How the handling of a task ended, when not by `complete`. */
export type TaskEnd =
  | { readonly kind: 'retry'; readonly due: Due; readonly reason: string }
  | { readonly kind: 'hold'; readonly reason: string }
  | { readonly kind: 'dead'; readonly reason: string; readonly deadLetterTopic: string | null }
  | { readonly kind: 'drop'; readonly why: 'expired' | 'ignored' | 'bad' }
  /** Not its fault: the attempt does not count. */
  | { readonly kind: 'give_back'; readonly due: Due }

/** PORT of the scheduler. All methods throw SluiceError `database`. */
export interface TaskStore {
  /** Tasks that are due and not held, earliest first; their attempts are counted and their leases begin. */
  claim(order: ClaimOrder): Promise<ClaimedTask[]>
  /**
   * One transaction: `handle` with its effects, then the task is done and the next of its key may run.
   * @returns false when the claim was lost meanwhile: nothing was changed, and the effects are rolled back
   */
  complete(task: ClaimedTask, handle: (tx: Tx) => Promise<void>): Promise<boolean>
  /** @returns false when the claim was lost meanwhile, and nothing was changed */
  end(task: ClaimedTask, end: TaskEnd): Promise<boolean>
  /** Publishes it to its `retryTopic` through the outbox, and takes it out. @returns as `end` */
  reproduce(task: ClaimedTask): Promise<boolean>
  /** Prolongs the lease of a task whose handler is still at work. @returns as `end` */
  renew(task: ClaimedTask, leaseMs: number): Promise<boolean>
  /** Until the next task is due; null: none waits. 0 when one is due already. */
  nextDueInMs(): Promise<number | null>
}
