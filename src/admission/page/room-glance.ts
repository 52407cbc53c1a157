import { monotonicMs } from '../../internal/monotonic.ts'
import type { AdmissionDesk } from '../admission-desk.ts'
import type { Room } from '../room.ts'

/** As old as what a room's page says may be. */
const FRESH_MS = 1_000
/** Anybody may ask for any name; beyond so many, the oldest are forgotten. */
const ROOMS_MAX = 1_000

interface Glance {
  readonly room: Promise<Room | null>
  readonly untilMs: number
}

/**
 * Rooms as their pages show them, asked for at most once a second each: the page of a room is what a crowd opens first,
 * and a room's figures are counted.
 */
export class RoomGlance {
  readonly #desk: Pick<AdmissionDesk, 'room'>
  readonly #glances = new Map<string, Glance>()

  constructor(desk: Pick<AdmissionDesk, 'room'>) {
    this.#desk = desk
  }

  /** As `AdmissionDesk.room`, up to a second late. */
  async room(eventId: string): Promise<Room | null> {
    const known = this.#glances.get(eventId)
    if (known && monotonicMs() < known.untilMs) return known.room
    const room = this.#desk.room(eventId)
    this.#keep(eventId, { room, untilMs: monotonicMs() + FRESH_MS })
    return room
  }

  #keep(eventId: string, glance: Glance): void {
    this.#glances.delete(eventId)
    this.#glances.set(eventId, glance)
    if (this.#glances.size <= ROOMS_MAX) return
    const [oldest] = this.#glances.keys()
    if (oldest !== undefined) this.#glances.delete(oldest)
  }
}
