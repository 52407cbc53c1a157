import type { SourceRecord } from './message.ts'
import type { TopicPartition } from './record-source.ts'
import type { Tx } from './tx.ts'

/** A record on its way to the handler. */
export interface Delivery {
  readonly record: SourceRecord
  /** What the inbox remembers. */
  readonly messageId: string
  /** It waits for earlier records of its topic and key, and later ones for it: `order: 'key'`, a key, not lifted. */
  readonly ordered: boolean
  /** After this it is not handled any more, also when it had to wait behind others. */
  readonly expiresAt?: Date | null
}

/** `handled` · `duplicate`: the inbox has it · `behind`: earlier records of its key wait, and now it does too. */
export type Delivered = 'handled' | 'duplicate' | 'behind'

/** Why a record is taken over without being handled, or after its handling failed. */
export type Parking =
  /** `attempts`: those spent so far. */
  | {
      readonly kind: 'retry'
      readonly due: Due
      readonly attempts: number
      readonly reason: string
    }
  | { readonly kind: 'delay'; readonly due: Due }
  | { readonly kind: 'hold'; readonly attempts: number; readonly reason: string }
  | {
      readonly kind: 'dead'
      readonly attempts: number
      readonly reason: string
      /** Published there too. */
      readonly deadLetterTopic: string | null
    }
  /** Remembered, and nothing more. */
  | { readonly kind: 'drop'; readonly why: 'expired' | 'ignored' | 'bad' }
  /** Published to the retry topic at its time, instead of being handled from here. */
  | {
      readonly kind: 'reproduce'
      readonly due: Due
      readonly attempts: number
      readonly reason: string
      readonly topic: string
    }

/** After so long by the database's clock, or at a time that someone else gave. */
export type Due = { readonly inMs: number } | { readonly at: Date }

export interface ParkOptions {
  readonly expiresAt: Date | null
}

/** PORT of the consumer: the inbox, and the way into the waiting room. All methods throw SluiceError `database`. */
export interface DeliveryStore {
  /**
   * One transaction: claims the records in the inbox (it waits for a rival that has one of them in work), puts those
   * whose key waits behind it, calls `handle` with the rest, in order, unless there is none, and commits. If `handle`
   * rejects everything is rolled back, and the rejection is passed on as it is.
   * @param options.remember false: the inbox is neither asked nor told; keys are looked at all the same
   * @returns one for each delivery
   * @throws CommitInDoubt when the commit was sent and its answer never came
   */
  deliver(
    deliveries: readonly Delivery[],
    handle: (admitted: readonly Delivery[], tx: Tx) => Promise<void>,
    options?: { readonly remember?: boolean },
  ): Promise<Delivered[]>
  /**
   * One transaction: claims the record, and writes what `parking` says. It goes behind the waiting ones of its key,
   * whatever `parking` says, unless it ends there (`dead`, `drop`).
   */
  park(delivery: Delivery, parking: Parking, options: ParkOptions): Promise<'parked' | 'duplicate'>
  /** Whether the group's waiting room, or this key's, is as full as it may be. */
  full(keys: readonly Delivery[]): Promise<boolean>

  /**
   * Told that reading begins at `offset`. Counts how often in a row it began there, which tells a record that kills
   * its process.
   */
  began(partition: TopicPartition, offset: bigint): Promise<Begun>
  /** In careful reading: this record is about to be handled. Committed at once. */
  attempting(partition: TopicPartition, offset: bigint): Promise<number>
  /** No record of the partition is in work: the process gives it up as it should. */
  ended(partition: TopicPartition): Promise<void>
}

export interface Begun {
  /** Counts from 1. */
  readonly starts: number
  /** The record that was in work when a process died in careful reading. */
  readonly attempted: { readonly offset: bigint; readonly starts: number } | null
}

/** The commit was sent; whether it took effect only the inbox can tell. */
export class CommitInDoubt extends Error {
  override readonly name = 'CommitInDoubt'
}
