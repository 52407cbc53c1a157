import type { LaneLease } from './adapter.ts'

/** A lane that is held, and what its owners have proved of it. */
export interface HeldLease extends LaneLease {
  /** Nothing stands below this id, and nothing ever will. */
  readonly lowWater: bigint
}

/** What a replica learns when it looks round. */
export interface Survey {
  /** Replicas that live, this one included. */
  readonly live: number
  /** Lanes that are free to take. */
  readonly free: number
  /** Lanes and topics that an operator has paused. */
  readonly pausedLanes: readonly number[]
  readonly pausedTopics: readonly string[]
  /** Names of breakers that other live replicas have open. */
  readonly breakersElsewhere: readonly string[]
}

/** PORT: where lanes and replicas are written down. All times are the store's own. */
export interface LaneStore {
  /** Tells the others that we live, renews every lane that is still ours, and returns those. */
  renew(leaseMs: number): Promise<readonly HeldLease[]>
  survey(): Promise<Survey>
  /** Takes up to `count` lanes that nobody owns or whose lease has run out, and raises their epochs. */
  acquire(count: number, leaseMs: number): Promise<readonly HeldLease[]>
  /** Makes lanes free for others at once, as far as they are still ours under these epochs. */
  giveUp(leases: readonly LaneLease[]): Promise<void>
  /** Leaves the list of replicas. */
  forgetReplica(): Promise<void>
}
