/**
 * The history of a campaign against pub/sub: one JSON line per happening. Requesters and workers write their own part of
 * it as they go; what the topics hold was read from them at the end.
 */
import { type OfKind, ToldHistory } from '../campaign/told-history.ts'
import type { FaultBegan, FaultEnded, Noted } from '../consumer/history.ts'
import type { Role } from './party-spec.ts'

/** Times are milliseconds since 1970 by this machine's clock, which the brokers share. */
interface At {
  readonly atMs: number
}

export interface PubsubCampaignBegan extends At {
  readonly kind: 'campaign'
  readonly seed: number
  readonly commit: string
  readonly minutes: number
  /** How long each request may take. */
  readonly timeoutMs: number
}

/** A requester's or a worker's process has ended. */
export interface PartyExited extends At {
  readonly kind: 'party_exited'
  readonly party: string
  readonly role: Role
  /** The signal that it was sent before, if any. */
  readonly asked: string | null
  readonly how: number | string
}

/** `connect()` is called, or has resolved; it is being disposed of, or has been. */
export interface Moved extends At {
  readonly kind: 'connecting' | 'connected' | 'leaving' | 'left'
  readonly party: string
  readonly role: Role
}

/** The reply partitions that a requester reads have changed; looked at every few milliseconds. */
export interface Held extends At {
  readonly kind: 'held'
  readonly party: string
  readonly partitions: readonly number[]
}

/** Written before the request is made. */
export interface Asked extends At {
  readonly kind: 'asked'
  readonly party: string
  /** The frame's; each request has its own. */
  readonly id: string
  readonly payload: string
  /** Right after `connect()`. */
  readonly first: boolean
  /** `final`: nothing disturbs any more. */
  readonly phase: 'faults' | 'rest' | 'final'
}

export type Ending = 'reply' | 'timeout' | 'lost' | 'closed' | 'other'

/** Written as soon as the request has settled. */
export interface Ended extends At {
  readonly kind: 'ended'
  readonly party: string
  readonly id: string
  readonly how: Ending
  /** With `reply`: the request's payload, as the worker saw it. */
  readonly echo: string | null
  /** With an error: its text. */
  readonly error: string | null
}

/** A requester was asked to come to rest: whether many of its requests in a row were answered in time. */
export interface Rested extends At {
  readonly kind: 'rested'
  readonly party: string
  readonly answered: boolean
}

/** At the end of a requester: requests that it still took for open. */
export interface Counted extends At {
  readonly kind: 'counted'
  readonly party: string
  readonly open: number
  readonly unmatched: number
}

/** In the worker topic. */
export interface RequestRecord {
  readonly kind: 'request'
  readonly id: string
  readonly correlationId: string
  readonly replyPartition: number
  /** When the broker appended it. */
  readonly timestampMs: number
}

/** In the reply topic. */
export interface ReplyRecord {
  readonly kind: 'reply'
  readonly correlationId: string
  readonly partition: number
  readonly echo: string
  readonly timestampMs: number
}

/** Of the workers' group, at rest. */
export interface LastOffset {
  readonly kind: 'last_offset'
  readonly partition: number
  readonly committed: number
  readonly end: number
}

export type PubsubHappening =
  | PubsubCampaignBegan
  | FaultBegan
  | FaultEnded
  | Noted
  | PartyExited
  | Moved
  | Held
  | Asked
  | Ended
  | Rested
  | Counted
  | RequestRecord
  | ReplyRecord
  | LastOffset

export type HappeningOf<K extends PubsubHappening['kind']> = OfKind<PubsubHappening, K>

export class PubsubHistory extends ToldHistory<PubsubHappening> {}
