import { ROOM_LIMITS } from '../room.ts'

/** The longest body that is read. */
export const BODY_BYTES_MAX = 4 * 1024

/** No control characters, and nothing that UTF-8 cannot hold. */
const TEXT = '^[^\\p{Cc}\\p{Cs}]*$'

function text({ min, max }: { min: number; max: number }) {
  return { type: 'string', minLength: min, maxLength: max, pattern: TEXT } as const
}

function seconds({ min, max }: { min: number; max: number }) {
  return { type: 'integer', minimum: min / 1_000, maximum: max / 1_000 } as const
}

const { capacity, claimMs, eventIdChars, leaseMs, targetUrlChars, waitGraceMs } = ROOM_LIMITS
const id = text(eventIdChars)

export const joinBody = {
  type: 'object',
  required: ['eventId', 'userId'],
  additionalProperties: false,
  properties: { eventId: id, userId: id },
} as const

export const roomBody = {
  type: 'object',
  additionalProperties: false,
  properties: {
    capacity: { type: 'integer', minimum: capacity.min, maximum: capacity.max },
    leaseSeconds: seconds(leaseMs),
    claimSeconds: seconds(claimMs),
    waitGraceSeconds: { ...seconds(waitGraceMs), nullable: true },
    renewable: { type: 'boolean' },
    targetUrl: { ...text(targetUrlChars), nullable: true },
  },
} as const

export const roomParams = { type: 'object', properties: { eventId: id } } as const

export const roomsQuery = {
  type: 'object',
  properties: { after: { ...id, minLength: 0 } },
} as const

const ID = `a string of ${eventIdChars.min} to ${eventIdChars.max} characters, no control characters`
const SECONDS = `a whole number of seconds from ${leaseMs.min / 1_000} to ${leaseMs.max / 1_000}`
const TARGET = `an http or https URL without credentials, at most ${targetUrlChars.max} characters`

const MUST_BE: ReadonlyMap<string, string> = new Map([
  ['body', 'a JSON object'],
  ['eventId', ID],
  ['userId', ID],
  ['after', `a room's id: ${ID}`],
  ['capacity', `a whole number from ${capacity.min} to ${capacity.max}`],
  ['leaseSeconds', SECONDS],
  ['claimSeconds', SECONDS],
  ['waitGraceSeconds', `${SECONDS}, or null`],
  ['renewable', 'true or false'],
  ['targetUrl', `${TARGET}, or null`],
])

/** What a field must be, in words. */
export function mustBe(field: string): string {
  return MUST_BE.get(field) ?? 'as the API describes it'
}
