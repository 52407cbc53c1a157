/** Every join, keyed by its event; their order in it is the order of admission. */
export const JOINS_TOPIC = 'waiting-room-joins'
/** What became of the sessions: granted, left, expired, abandoned; keyed by event. */
export const CHANGES_TOPIC = 'waiting-room-changes'
/** The consumer group that gives places. */
export const GRANTER_GROUP = 'waiting-room-granter'

export const JOIN_TYPE = 'waiting-room.join'

/** Value of a join's record, as JSON. */
export interface JoinRecord {
  readonly sessionId: string
  readonly eventId: string
  readonly userId: string
}
