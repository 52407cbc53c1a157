/**
 * WAITING → ACTIVE → LEFT (by the visitor) or EXPIRED (the lease ran out); WAITING → LEFT, or ABANDONED: not seen for
 * long when the turn came. The last three are final.
 */
export type SessionStatus = 'WAITING' | 'ACTIVE' | 'LEFT' | 'EXPIRED' | 'ABANDONED'

/** A session as its visitor sees it. */
export interface Session {
  /** A UUID; who knows it may look at the session and end it. */
  readonly sessionId: string
  readonly eventId: string
  readonly userId: string
  readonly status: SessionStatus
  /** 1 is next. Null while the join is on its way through the log, and when it does not wait. May be a second old. */
  readonly position: number | null
  /** Null: unknown. */
  readonly estimatedWaitMs: number | null
  /** Of an active one: until when, unless it is extended. */
  readonly leaseUntil: Date | null
  readonly renewable: boolean
  readonly targetUrl: string | null
}

export interface JoinRequest {
  readonly eventId: string
  readonly userId: string
}

export interface Joined {
  readonly sessionId: string
  /** False: the user's open session was found. */
  readonly created: boolean
}
