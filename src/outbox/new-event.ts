import { randomUUID } from 'node:crypto'
import { isAnyArrayBuffer, isDate, isUint8Array } from 'node:util/types'
import { SluiceError } from '../errors.ts'
import { PARTITION_HEADER, partitionOfText } from './partition-header.ts'
import { topicFault } from './topic-name.ts'

/**
 * An event as a writer hands it in. At most one of `payload`, `payloadJson` and `payloadBytes` may be given; with
 * none of them the event is a tombstone (a record without a value).
 */
export interface NewEvent {
  /** 1–249 characters of `a-z A-Z 0-9 . _ -`; not `.`, not `..`, not beginning with `__`. */
  readonly topic: string
  /** Order is kept per (topic, key). null or left out: no order is wanted. '' is a key like any other. */
  readonly key?: string | null | undefined
  /** Not empty. It becomes the record header `event_type`. */
  readonly eventType: string
  /**
   * Anything that `JSON.stringify` can write; numbers come out as it writes them. A string becomes a JSON string and
   * null the JSON value `null`; undefined is the same as left out.
   */
  readonly payload?: unknown
  /** JSON text, published verbatim: white space, key order and numbers beyond 2^53 included. */
  readonly payloadJson?: string | undefined
  /** Bytes, published untouched. */
  readonly payloadBytes?: Uint8Array | undefined
  /**
   * They become record headers. `event_id`, `event_type` and `sluice-id` are set by Sluice and refused here;
   * `sluice-partition` becomes none: it names the partition to publish to, in decimal digits.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** UUID that consumers dedupe by. A random one is made when it is left out. */
  readonly eventId?: string | undefined
  /** Not published before this time; until then it holds no later event of its key back. */
  readonly notBefore?: Date | undefined
  /** Past this time it is not published any more but becomes a dead letter. After `notBefore`. */
  readonly expiresAt?: Date | undefined
}

/** A checked event, in the form in which it travels to the database inside one JSON document. */
export interface EventRecord {
  readonly event_id: string
  readonly topic: string
  readonly key: string | null
  readonly event_type: string
  /** JSON text within a string, so that the outer document's parser leaves every byte of it alone. */
  readonly payload: string | null
  readonly payload_base64: string | null
  readonly headers: Readonly<Record<string, string>>
  readonly not_before: string | null
  readonly expires_at: string | null
}

const FIELDS: Readonly<Record<keyof NewEvent, true>> = {
  topic: true,
  key: true,
  eventType: true,
  payload: true,
  payloadJson: true,
  payloadBytes: true,
  headers: true,
  eventId: true,
  notBefore: true,
  expiresAt: true,
}
const RESERVED_HEADERS: ReadonlySet<string> = new Set(['event_id', 'event_type', 'sluice-id'])
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const LONE_SURROGATE = /\p{Surrogate}/u
/** JavaScript writes later years with a sign and six digits, which PostgreSQL does not read. */
const YEAR_MAX = 9999

/** Refuses the event: names the place, what is wrong there and what to do. Never returns. */
type Refuse = (field: string, complaint: string) => never

/**
 * Checks one event.
 *
 * @param place how messages call it: `event`, or `events[3]`
 * @throws SluiceError code `event`; its `details.field` names the field
 */
export function toRecord(event: NewEvent, place: string): EventRecord {
  const refuse: Refuse = (field, complaint) => {
    const message = field === '' ? `${place} ${complaint}` : `${place}.${field} ${complaint}`
    throw new SluiceError('event', message, { details: { place, field } })
  }
  if (typeof event !== 'object' || event === null || Array.isArray(event)) {
    return refuse('', `is ${shapeOf(event)}: hand in an object with topic, eventType and payload`)
  }
  const unknown = Object.keys(event).find(name => !Object.hasOwn(FIELDS, name))
  if (unknown !== undefined) {
    refuse(unknown, `is not a field of an event: use one of ${Object.keys(FIELDS).join(', ')}`)
  }
  const topic = text('topic', event.topic, refuse)
  const fault = topicFault(topic)
  if (fault !== null) refuse('topic', `${fault}: give a legal Kafka topic name`)
  const eventType = text('eventType', event.eventType, refuse)
  if (eventType === '') refuse('eventType', 'is empty: name what happened, such as OrderPlaced')
  return {
    event_id: eventIdOf(event.eventId, refuse),
    topic,
    key: event.key === undefined || event.key === null ? null : text('key', event.key, refuse),
    event_type: eventType,
    ...payloadOf(event, refuse),
    headers: headersOf(event.headers, refuse),
    ...timesOf(event, refuse),
  }
}

function text(field: string, value: unknown, refuse: Refuse): string {
  if (value === undefined || value === null) {
    return refuse(field, `is missing (${shapeOf(value)}): give a string`)
  }
  if (typeof value !== 'string') {
    return refuse(field, `is ${shapeOf(value)}: give a string, by String(…) for instance`)
  }
  const fault = textFault(value)
  return fault === null ? value : refuse(field, fault)
}

/** What PostgreSQL would refuse, or what would silently become U+FFFD on the way to it. */
function textFault(value: string): string | null {
  if (value.includes('\0')) return 'holds a NUL character, which PostgreSQL cannot store: remove it'
  if (LONE_SURROGATE.test(value)) return 'holds half of a surrogate pair: give well-formed Unicode'
  return null
}

function eventIdOf(value: unknown, refuse: Refuse): string {
  if (value === undefined || value === null) return randomUUID()
  if (typeof value === 'string' && UUID.test(value)) return value.toLowerCase()
  return refuse(
    'eventId',
    `is ${shapeOf(value)}, not a UUID: give one, or leave it out for a random one`,
  )
}

function payloadOf(
  event: NewEvent,
  refuse: Refuse,
): Pick<EventRecord, 'payload' | 'payload_base64'> {
  const { payload, payloadJson, payloadBytes } = event
  const given = Object.entries({ payload, payloadJson, payloadBytes }).filter(
    ([, value]) => value !== undefined,
  )
  if (given.length > 1) {
    const [first, second] = given.map(([field]) => field)
    refuse(second as string, `is given besides ${first}: an event has one payload, drop the other`)
  }
  if (payload !== undefined) return { payload: stringified(payload, refuse), payload_base64: null }
  if (payloadJson !== undefined) {
    return { payload: jsonText(payloadJson, refuse), payload_base64: null }
  }
  if (payloadBytes === undefined) return { payload: null, payload_base64: null }
  if (!isUint8Array(payloadBytes)) {
    return refuse('payloadBytes', `is ${shapeOf(payloadBytes)}: give a Uint8Array or a Buffer`)
  }
  const { buffer, byteOffset, byteLength } = payloadBytes
  const base64 = Buffer.from(buffer, byteOffset, byteLength).toString('base64')
  return { payload: null, payload_base64: base64 }
}

function stringified(payload: unknown, refuse: Refuse): string {
  if (ArrayBuffer.isView(payload) || isAnyArrayBuffer(payload)) {
    refuse('payload', `is ${shapeOf(payload)}: give bytes as payloadBytes`)
  }
  let json: string | undefined
  try {
    json = JSON.stringify(payload)
  } catch (error) {
    // The error's own text may quote the payload (V8 names the properties along a cycle), so it is not passed on.
    refuse(
      'payload',
      `${unserialisable(error)}, which JSON cannot hold: change it, or give payloadJson`,
    )
  }
  if (json === undefined) {
    return refuse(
      'payload',
      `is ${shapeOf(payload)}, which JSON.stringify leaves out: give a value`,
    )
  }
  return json
}

function unserialisable(error: unknown): string {
  if (error instanceof RangeError) return 'is nested too deeply or too large'
  const message = error instanceof TypeError ? error.message : ''
  if (/bigint/i.test(message)) return 'holds a BigInt'
  if (/circular|cyclic/i.test(message)) return 'holds a cycle'
  return `threw ${error instanceof Error ? error.name : shapeOf(error)} in JSON.stringify`
}

function jsonText(value: unknown, refuse: Refuse): string {
  const json = text('payloadJson', value, refuse)
  try {
    JSON.parse(json)
  } catch {
    // As above: the parser's message quotes what it read.
    refuse(
      'payloadJson',
      `is ${shapeOf(json)} that is not valid JSON: give JSON text, or use payload`,
    )
  }
  return json
}

function headersOf(headers: unknown, refuse: Refuse): Readonly<Record<string, string>> {
  if (headers === undefined || headers === null) return {}
  // A Map, or fetch's Headers, has no own properties and would pass as an object without headers.
  if (Object.prototype.toString.call(headers) !== '[object Object]') {
    return refuse('headers', `is ${shapeOf(headers)}: give an object of strings`)
  }
  for (const [name, value] of Object.entries(headers)) {
    const field = `headers[${JSON.stringify(name)}]`
    if (RESERVED_HEADERS.has(name)) refuse(field, 'is set by Sluice: choose another header name')
    const fault = textFault(name)
    if (fault !== null) refuse(field, `has a name that ${fault}`)
    const given = text(field, value, refuse)
    if (name === PARTITION_HEADER && partitionOfText(given) === null) {
      refuse(field, 'is no number of a partition: give decimal digits')
    }
  }
  return headers as Record<string, string>
}

function timesOf(event: NewEvent, refuse: Refuse): Pick<EventRecord, 'not_before' | 'expires_at'> {
  const notBefore = timeOf('notBefore', event.notBefore, refuse)
  const expiresAt = timeOf('expiresAt', event.expiresAt, refuse)
  if (notBefore !== null && expiresAt !== null && expiresAt <= notBefore) {
    refuse('expiresAt', 'is not after notBefore, so the event could never be published')
  }
  return { not_before: notBefore, expires_at: expiresAt }
}

/** ISO 8601 in UTC, which sorts as text within the years allowed. */
function timeOf(field: string, value: unknown, refuse: Refuse): string | null {
  if (value === undefined || value === null) return null
  if (!isDate(value)) return refuse(field, `is ${shapeOf(value)}: give a Date`)
  if (Number.isNaN(value.getTime())) return refuse(field, 'is an invalid Date: give a valid one')
  const year = value.getUTCFullYear()
  if (year < 1 || year > YEAR_MAX) {
    return refuse(field, `is a Date in the year ${year}: give one from the year 1 to ${YEAR_MAX}`)
  }
  return value.toISOString()
}

/** What a value is, without its content. */
export function shapeOf(value: unknown): string {
  if (value === undefined || value === null) return String(value)
  if (typeof value === 'string') return `a string of ${value.length} characters`
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value !== 'object') return `a ${typeof value}`
  const name: unknown = value.constructor?.name
  return typeof name !== 'string' || name === 'Object' ? 'an object' : `an object (${name})`
}
