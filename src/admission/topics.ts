/** `event_type` of a join. Its topic has every join, keyed by its event; their order in it is that of admission. */
export const JOIN_TYPE = 'waiting-room.join'

/** Value of a join's record, as JSON. */
export interface JoinRecord {
  readonly sessionId: string
  readonly eventId: string
  readonly userId: string
}
