import { SluiceError } from '../errors.ts'

export type FrameKind = 'request' | 'reply' | 'event'

/** The partition on which a reply is awaited. */
export interface ReplyAddress {
  readonly topic: string
  readonly partition: number
}

/** Why the work failed, in the worker's words. */
export interface FrameError {
  /** 1 to 255 bytes, for programs. */
  readonly code: string
  /** For people. */
  readonly message: string
}

export interface FrameFields {
  /** A UUID; the same for each sending of the same thing, so that workers can dedupe by it. */
  readonly id: string
  readonly kind: FrameKind
  /** What it is about, 1 to 512 bytes. */
  readonly type: string
  /** Frames of one key are kept in order; null: no order. At most 65,535 bytes. */
  readonly key: string | null
  /** A UUID that a reply has in common with its request; null: nobody waits. */
  readonly correlation_id: string | null
  readonly reply_to: ReplyAddress | null
  /** No more replies to the request follow. */
  readonly last: boolean
  /** Of a reply that says that the work failed. */
  readonly error: FrameError | null
  /** Milliseconds since 1970, by the sender's clock. */
  readonly at: number
  readonly payload: Uint8Array
}

export const TYPE_BYTES_MAX = 512
export const KEY_BYTES_MAX = 65_535
export const ERROR_CODE_BYTES_MAX = 255
export const ERROR_MESSAGE_BYTES_MAX = 65_535
export const TOPIC_BYTES_MAX = 249
/** Kafka's partitions are signed 32-bit integers. */
export const PARTITION_MAX = 2 ** 31 - 1
/** What a Date can hold. */
export const AT_MAX = 8_640_000_000_000_000

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const LONE_SURROGATE = /\p{Surrogate}/u
const KINDS: readonly FrameKind[] = ['request', 'reply', 'event']

/** The fields of a frame, each one checked; a copy all through. @throws SluiceError `event` that names the field */
export function checkedFields(fields: FrameFields): FrameFields {
  const { kind, key, correlation_id, reply_to, error, at, payload } = fields
  if (!KINDS.includes(kind)) throw bad('kind', `one of ${KINDS.join(', ')}`, kind)
  if (!Number.isInteger(at) || at < 0 || at > AT_MAX) {
    throw bad('at', 'whole milliseconds since 1970', at)
  }
  if (!(payload instanceof Uint8Array)) throw bad('payload', 'a Uint8Array', payload)
  if (error !== null && kind !== 'reply')
    throw bad('error', `null in a frame of kind ${kind}`, error)
  return {
    id: uuid('id', fields.id),
    kind,
    type: text('type', fields.type, 1, TYPE_BYTES_MAX),
    key: key === null ? null : text('key', key, 0, KEY_BYTES_MAX),
    correlation_id: correlation_id === null ? null : uuid('correlation_id', correlation_id),
    reply_to: reply_to === null ? null : address(reply_to),
    last: fields.last === true,
    error: error === null ? null : failure(error),
    at,
    payload: Uint8Array.from(payload),
  }
}

function uuid(field: string, value: unknown): string {
  if (typeof value !== 'string' || !UUID.test(value)) throw bad(field, 'a UUID', value)
  return value.toLowerCase()
}

function text(field: string, value: unknown, bytesMin: number, bytesMax: number): string {
  if (typeof value !== 'string') throw bad(field, 'a text', value)
  const bytes = Buffer.byteLength(value, 'utf8')
  if (bytes < bytesMin || bytes > bytesMax) {
    throw bad(field, `a text of ${bytesMin} to ${bytesMax} bytes`, value)
  }
  // It would come out of the bytes as another text.
  if (LONE_SURROGATE.test(value)) throw bad(field, 'a text without half of a surrogate pair', value)
  return value
}

function address({ topic, partition }: ReplyAddress): ReplyAddress {
  if (!Number.isInteger(partition) || partition < 0 || partition > PARTITION_MAX) {
    throw bad('reply_to.partition', `a whole number from 0 to ${PARTITION_MAX}`, partition)
  }
  return Object.freeze({ topic: text('reply_to.topic', topic, 1, TOPIC_BYTES_MAX), partition })
}

function failure({ code, message }: FrameError): FrameError {
  return Object.freeze({
    code: text('error.code', code, 1, ERROR_CODE_BYTES_MAX),
    message: text('error.message', message, 0, ERROR_MESSAGE_BYTES_MAX),
  })
}

/** Tells the value's shape, never the value: it may be anything. */
function bad(field: string, mustBe: string, value: unknown): SluiceError {
  return new SluiceError('event', `${field} of a frame must be ${mustBe}, it is ${shapeOf(value)}`)
}

function shapeOf(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return `a text of ${value.length} characters`
  return typeof value === 'number' ? String(value) : `of type ${typeof value}`
}
