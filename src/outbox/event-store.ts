import type { FailedEvent, LaneLease, PublishedEvent, ReserveOptions, Settled } from './adapter.ts'
import type { OutboxEvent } from './event.ts'

/** A lane, and the id at which its reading begins. */
export interface LaneStart extends LaneLease {
  readonly fromId: bigint
}

export interface Reading {
  readonly events: readonly OutboxEvent[]
  /** Some key of the outbox waited for an earlier event of it when this was read. */
  readonly keysHeld: boolean
  /**
   * Set when a crash of the database could still lose some of what was read: the position up to which its log must
   * be flushed first.
   */
  readonly unflushedUpTo: string | null
}

/** PORT: where events wait and what becomes of them is recorded. The last two are fenced by the leases' epochs. */
export interface EventStore {
  /**
   * Due events of these lanes, lane after lane, each in id order from its start. An event of which a refusal was
   * recorded is read whatever the start is, and until it is settled no later event of its key is.
   */
  read(lanes: readonly LaneStart[], limit: number, options: ReserveOptions): Promise<Reading>
  /** Resolves once everything up to this position survives a crash. */
  awaitFlush(position: string): Promise<void>
  confirm(leases: readonly LaneLease[], published: readonly PublishedEvent[]): Promise<Settled>
  confirmFailed(leases: readonly LaneLease[], failures: readonly FailedEvent[]): Promise<Settled>
}

/** What a look at the writers finds. */
export interface WritersSeen {
  /** The greatest id given so far. */
  readonly lastId: bigint
  /** Transactions that may hold an id that nobody sees yet. */
  readonly open: ReadonlySet<string>
  /** Changes when the server has started anew, after which what its memory said counts no more. */
  readonly server: string
  /** Positions in the server's log: where it ends, and up to where it survives a crash. */
  readonly position: bigint
  readonly flushed: bigint
}

/** PORT: what the low-water marks are made from, and where they are kept. */
export interface IdStore {
  writers(): Promise<WritersSeen>
  /** The first id that is to be seen in each lane from its start on; lanes without any are left out. */
  firstIds(lanes: readonly LaneStart[]): Promise<ReadonlyMap<number, bigint>>
  /** Keeps the marks for the lanes' next owners, as far as the lanes are still ours. */
  keep(lanes: readonly LaneStart[]): Promise<void>
}
