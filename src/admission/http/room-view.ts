import { ROOM_LIMITS, type Room, type RoomSettings } from '../room.ts'
import { Problem } from './problem.ts'
import { mustBe } from './schemas.ts'

/** What an operator may set, as the API has it; what is left out is not changed. */
export interface RoomBody {
  readonly capacity?: number
  readonly leaseSeconds?: number
  readonly claimSeconds?: number
  readonly waitGraceSeconds?: number | null
  readonly renewable?: boolean
  readonly targetUrl?: string | null
}

/** @throws Problem `bad-input`: the target is no http or https URL, or has credentials in it */
export function readRoomBody(body: RoomBody): Partial<RoomSettings> {
  const { capacity, leaseSeconds, claimSeconds, waitGraceSeconds, renewable, targetUrl } = body
  return {
    ...(capacity !== undefined && { capacity }),
    ...(leaseSeconds !== undefined && { leaseMs: leaseSeconds * 1_000 }),
    ...(claimSeconds !== undefined && { claimMs: claimSeconds * 1_000 }),
    ...(waitGraceSeconds !== undefined && {
      waitGraceMs: waitGraceSeconds === null ? null : waitGraceSeconds * 1_000,
    }),
    ...(renewable !== undefined && { renewable }),
    ...(targetUrl !== undefined && { targetUrl: targetUrl && readTarget(targetUrl) }),
  }
}

function readTarget(text: string): string {
  if (URL.canParse(text)) {
    const { protocol, username, password, href } = new URL(text)
    const web = protocol === 'http:' || protocol === 'https:'
    // Percent-encoding has made it longer.
    const fits = href.length <= ROOM_LIMITS.targetUrlChars.max
    if (web && fits && username === '' && password === '') return href
  }
  const errors = [{ field: 'targetUrl', mustBe: mustBe('targetUrl') }]
  throw new Problem('bad-input', 'See errors: targetUrl', { errors })
}

export function viewRoom(room: Room): object {
  return {
    eventId: room.eventId,
    capacity: room.capacity,
    leaseSeconds: room.leaseMs / 1_000,
    claimSeconds: room.claimMs / 1_000,
    waitGraceSeconds: room.waitGraceMs === null ? null : room.waitGraceMs / 1_000,
    renewable: room.renewable,
    targetUrl: room.targetUrl,
    paused: room.paused,
    active: room.active,
    waiting: room.waiting,
    granted: room.granted,
    freed: room.freed,
    freedPerSecond: room.freedPerSecond,
  }
}

const SETTINGS = [
  'capacity',
  'leaseMs',
  'claimMs',
  'waitGraceMs',
  'renewable',
  'targetUrl',
  'paused',
] as const

/** What differs, for the log; null: nothing. @param before null: the room is new */
export function changesOf(before: Room | null, after: Room): object | null {
  const changed = SETTINGS.filter(name => before?.[name] !== after[name])
  if (changed.length === 0) return null
  return Object.fromEntries(
    changed.map(name => [name, { from: before?.[name] ?? null, to: after[name] }]),
  )
}
