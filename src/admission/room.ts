/** What an operator decides of a room. */
export interface RoomSettings {
  /** Sessions active at once, at most. Lowered below what is active, it evicts nobody. */
  readonly capacity: number
  /** How long an admitted visitor may stay without a heartbeat. */
  readonly leaseMs: number
  /** How long a place is kept for one who was admitted and has not asked since. */
  readonly claimMs: number
  /** One who was not seen for so long is passed over when the turn comes; null: nobody is. */
  readonly waitGraceMs: number | null
  /** Whether a heartbeat extends the lease. */
  readonly renewable: boolean
  /** Where admitted visitors go on from the waiting page; null: the page only tells them. */
  readonly targetUrl: string | null
}

export interface Room extends RoomSettings {
  readonly eventId: string
  /** Nobody is let in. */
  readonly paused: boolean
  readonly active: number
  /** Numbered sessions that wait. */
  readonly waiting: number
  /** Since the room was made. */
  readonly granted: number
  readonly freed: number
  /** Of late; null: none has been freed for long. */
  readonly freedPerSecond: number | null
}

/** Bounds of what an operator gives, all inclusive. */
export const ROOM_LIMITS = {
  eventIdChars: { min: 1, max: 200 },
  capacity: { min: 0, max: 1_000_000 },
  leaseMs: { min: 1_000, max: 86_400_000 },
  claimMs: { min: 1_000, max: 86_400_000 },
  waitGraceMs: { min: 1_000, max: 86_400_000 },
  targetUrlChars: { min: 1, max: 2_000 },
} as const

export const ROOM_DEFAULTS: Omit<RoomSettings, 'capacity'> = {
  leaseMs: 600_000,
  claimMs: 60_000,
  waitGraceMs: 120_000,
  renewable: true,
  targetUrl: null,
}
