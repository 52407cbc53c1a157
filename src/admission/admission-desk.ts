import type { Room, RoomSettings } from './room.ts'
import type { Joined, JoinRequest, Session } from './session.ts'

/**
 * PORT of whoever serves visitors and operators. Every method rejects with SluiceError `database` (retryable) when the
 * database cannot answer, and ends within its statements' time-out.
 */
export interface AdmissionDesk {
  /**
   * Makes a waiting session and its join, in one transaction; a user with an open session in that room gets that one.
   * @returns after the commit
   * @throws SluiceError `options`: no such room, and rooms are not made by joining
   * @throws TooBusy: more joins wait than the limit allows
   */
  join(request: JoinRequest): Promise<Joined>
  /** The session as it is, null if unknown. Counts as a sign of life; the first look at an active one starts its lease. */
  look(sessionId: string): Promise<Session | null>
  /** A sign of life that also extends the lease, if the room allows it. */
  heartbeat(sessionId: string): Promise<Session | null>
  /** Ends the session; a place that is freed goes to the next at once. */
  leave(sessionId: string): Promise<Session | null>
  room(eventId: string): Promise<Room | null>
  /** In the order of their ids, at most 1,000 of those behind `after`. */
  rooms(after?: string): Promise<readonly Room[]>
  /** Makes the room or changes it; what is not given keeps its value or its default. A new room needs a capacity. */
  setRoom(eventId: string, settings: Partial<RoomSettings>): Promise<Room>
  /** Null: no such room. */
  pauseRoom(eventId: string, paused: boolean): Promise<Room | null>
}
