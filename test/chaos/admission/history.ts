/**
 * The history of a campaign against admission: one JSON line per happening. It is all that the checker gets to see.
 * The journal was written by triggers inside the transactions themselves, and the records were read from the topics,
 * both at rest; of the visitors it knows what they asked and what they were answered.
 */
import { type OfKind, ToldHistory } from '../campaign/told-history.ts'

export type Status = 'WAITING' | 'ACTIVE' | 'LEFT' | 'EXPIRED' | 'ABANDONED'

/** Times are milliseconds since 1970 by this machine's clock, which the brokers and the database share. */
interface At {
  readonly atMs: number
}

export interface AdmissionCampaignBegan extends At {
  readonly kind: 'campaign'
  readonly seed: number
  readonly commit: string
  readonly joins: number
  readonly rooms: number
  readonly capacity: number
}

export interface FaultBegan extends At {
  readonly kind: 'fault_started'
  readonly id: number
  readonly fault: string
  readonly target: string
}

export interface FaultEnded extends At {
  readonly kind: 'fault_healed'
  readonly id: number
  readonly fault: string
}

export interface Noted extends At {
  readonly kind: 'note'
  readonly text: string
}

/** A process of admission has ended. */
export interface DoorExited extends At {
  readonly kind: 'door_exited'
  readonly door: string
  /** The signal that it was sent before, if any. */
  readonly asked: string | null
  readonly how: number | string
}

/** Of each row of the journal. */
interface Journaled extends At {
  /** From one sequence for all rows; taken within the transaction, under the locks that it had then. */
  readonly n: number
  readonly xact: string
  /** When the transaction committed. */
  readonly committedMs: number
  readonly eventId: string
}

/** A session was made, numbered, or changed its status. */
export interface SessionChanged extends Journaled {
  readonly kind: 'session_changed'
  readonly sessionId: string
  readonly userId: string
  /** Null: it was made. */
  readonly was: Status | null
  /** Null: the row was deleted. */
  readonly status: Status | null
  readonly seqWas: number | null
  readonly seq: number | null
  readonly logPartition: number | null
  readonly logOffset: number | null
  /** As they were before the change. */
  readonly leaseUntilMs: number | null
  readonly seenMs: number | null
  /** Whether the transaction had the room's row then. */
  readonly roomHeld: boolean
}

/** A room was made, set, paused, or counted something. */
export interface RoomChanged extends Journaled {
  readonly kind: 'room_changed'
  readonly capacity: number
  readonly paused: boolean
  readonly waitGraceMs: number | null
  readonly leaseMs: number
  readonly renewable: boolean
  readonly active: number
  readonly lastSeq: number
  readonly granted: number
  readonly freed: number
}

/** A record of the joins' topic. */
export interface JoinRead {
  readonly kind: 'join_record'
  readonly partition: number
  readonly offset: number
  /** Header `event_id`: the same of records that were sent twice. */
  readonly recordId: string
  readonly key: string | null
  readonly sessionId: string
  readonly eventId: string
  readonly userId: string
}

/** A record of the changes' topic. */
export interface ChangeRead {
  readonly kind: 'change_record'
  readonly partition: number
  readonly offset: number
  readonly recordId: string
  readonly key: string | null
  readonly type: string
  readonly sessionId: string
  readonly eventId: string
  readonly userId: string
  readonly status: string
  readonly seq: number | null
}

/** A visitor was answered 202. */
export interface Accepted extends At {
  readonly kind: 'accepted'
  readonly sessionId: string
  readonly eventId: string
  readonly userId: string
}

/** What a visitor did with a session, as far as answers go. */
export interface Visited {
  readonly kind: 'visited'
  readonly sessionId: string
  /** When it last had an answer, as to one who waits or is active. */
  readonly lastSeenMs: number
  /** The furthest end of the lease that it was told; null: none. */
  readonly leaseToldMs: number | null
  /** When it last sent a heartbeat that was answered as to an active one; null: never. */
  readonly lastBeatMs: number | null
  /** Whether it ever asked to leave, answered or not. */
  readonly askedToLeave: boolean
  /** What a leave was answered first; null: none was answered. */
  readonly leftAs: string | null
  /** Statuses it was told that may not follow each other: `ACTIVE after LEFT`. */
  readonly contradiction: string | null
  /** It was told that there is no such session. */
  readonly unknown: boolean
}

export interface SessionLeft {
  readonly kind: 'session'
  readonly sessionId: string
  readonly eventId: string
  readonly userId: string
  readonly status: Status
  readonly seq: number | null
  readonly logPartition: number | null
  readonly logOffset: number | null
}

export interface RoomLeft {
  readonly kind: 'room'
  readonly eventId: string
  readonly capacity: number
  readonly active: number
  readonly lastSeq: number
  readonly granted: number
  readonly freed: number
}

/** No more faults; `drained` in time or not. */
export interface Rested extends At {
  readonly kind: 'rested'
  readonly drained: boolean
  readonly drainMs: number
  readonly left: string
}

/** The joins were consumed again from the beginning; what was different then. */
export interface Replayed {
  readonly kind: 'replayed'
  readonly records: number
  readonly differences: readonly string[]
}

export type AdmissionHappening =
  | AdmissionCampaignBegan
  | FaultBegan
  | FaultEnded
  | Noted
  | DoorExited
  | SessionChanged
  | RoomChanged
  | JoinRead
  | ChangeRead
  | Accepted
  | Visited
  | SessionLeft
  | RoomLeft
  | Rested
  | Replayed

export type HappeningOf<K extends AdmissionHappening['kind']> = OfKind<AdmissionHappening, K>

export class AdmissionHistory extends ToldHistory<AdmissionHappening> {}
