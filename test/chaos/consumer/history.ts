/**
 * The history of a campaign against the consumer kit: one JSON line per happening. It is all that the checker gets to
 * see. What the topics, the database and the group's coordinator hold was read from them at the end, once at rest.
 */
import { type OfKind, ToldHistory } from '../campaign/told-history.ts'

/** Times are milliseconds since 1970 by this machine's clock, which the brokers and the database share. */
interface At {
  readonly atMs: number
}

export interface ConsumerCampaignBegan extends At {
  readonly kind: 'campaign'
  readonly seed: number
  readonly commit: string
  readonly minutes: number
  readonly groups: readonly string[]
  /** Failures after which a message is a dead letter. */
  readonly attemptsMax: number
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

/** A group was held by hand, from the answer to the hold to the asking for its end. */
export interface GroupHeld {
  readonly kind: 'group_held'
  readonly group: string
  readonly fromMs: number
  readonly toMs: number
}

/** A member's process has ended. */
export interface MemberExited extends At {
  readonly kind: 'member_exited'
  readonly member: string
  /** The signal that it was sent before, if any. */
  readonly asked: string | null
  readonly askedAtMs: number | null
  readonly how: number | string
}

/** Written by a member before anything else is done with the message. */
export interface RunBegan extends At {
  readonly kind: 'run'
  readonly group: string
  readonly run: string
  readonly messageId: string
  readonly topic: string
  readonly partition: number
  readonly offset: string
  /** Null: in a batch, whose handler is not told. */
  readonly attempt: number | null
}

export type Decision =
  | 'done'
  | 'retry'
  | 'retry_at'
  | 'hold'
  | 'bad'
  | 'bug'
  | 'down'
  /** A statement or a call failed, or the handler was told to leave. */
  | 'broken'

/** What the handler came to; none: the process died in it. */
export interface RunEnded extends At {
  readonly kind: 'run_ended'
  readonly run: string
  readonly decision: Decision
  /** With `retry_at`. */
  readonly againAtMs: number | null
}

/** Something that a member's bus told. */
export interface MemberTold extends At {
  readonly kind: 'told'
  readonly group: string
  readonly member: string
  readonly what: string
  readonly count: number
}

/** What the group had committed of a partition, and which records below that its inbox did not have then. */
export interface OffsetSeen extends At {
  readonly kind: 'offset'
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly committed: number
  readonly unclaimed: readonly string[]
}

/** A contradiction in the waiting room, seen in one snapshot. */
export interface RoomBroken extends At {
  readonly kind: 'room_broken'
  readonly group: string
  readonly what: string
}

/** Looks that were answered. */
export interface Looked {
  readonly kind: 'looked'
  readonly offsets: number
  readonly rooms: number
}

/** No more faults; `drained` in time or not. */
export interface Rested extends At {
  readonly kind: 'rested'
  readonly drained: boolean
  readonly drainMs: number
  readonly left: string
}

export interface ProducedRecord {
  readonly kind: 'record'
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly key: string | null
  /** What the inbox calls it. */
  readonly messageId: string
  /** It can never be handled: its bytes, or what its handler thinks of it. */
  readonly bad: boolean
  readonly ordered: boolean
  readonly delayUntilMs: number | null
  readonly expiresAtMs: number | null
  /** When it was written. */
  readonly timestampMs: number
  readonly valueSha256: string | null
  /** Names and values, in their order. */
  readonly headers: string
}

export interface Effect {
  readonly kind: 'effect'
  readonly seq: number
  readonly group: string
  readonly topic: string
  readonly messageId: string
  readonly run: string
  readonly attempt: number
  /** By the database's clock. */
  readonly startedAtMs: number
}

export interface TaskLeft {
  readonly kind: 'task'
  readonly group: string
  readonly topic: string
  readonly messageId: string
  readonly state: string
  readonly attempts: number
  readonly valueSha256: string | null
}

export interface KeyLeft {
  readonly kind: 'key'
  readonly group: string
  readonly topic: string
  readonly open: number
}

export interface Claimed {
  readonly kind: 'inbox'
  readonly group: string
  readonly messageIds: readonly string[]
}

/** In the topic of the dead letters. */
export interface PublishedDeadLetter {
  readonly kind: 'dead_letter'
  readonly messageId: string
  readonly origin: string
  readonly valueSha256: string | null
  readonly headers: string
}

/** In the topic to which handlers publish, one for each effect. */
export interface PublishedEffect {
  readonly kind: 'published'
  readonly group: string
  readonly messageId: string
}

export interface LastOffset {
  readonly kind: 'last_offset'
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly committed: number
  readonly end: number
}

export type ConsumerHappening =
  | ConsumerCampaignBegan
  | FaultBegan
  | FaultEnded
  | Noted
  | GroupHeld
  | MemberExited
  | RunBegan
  | RunEnded
  | MemberTold
  | OffsetSeen
  | RoomBroken
  | Looked
  | Rested
  | ProducedRecord
  | Effect
  | TaskLeft
  | KeyLeft
  | Claimed
  | PublishedDeadLetter
  | PublishedEffect
  | LastOffset

export type HappeningOf<K extends ConsumerHappening['kind']> = OfKind<ConsumerHappening, K>

export class ConsumerHistory extends ToldHistory<ConsumerHappening> {}
