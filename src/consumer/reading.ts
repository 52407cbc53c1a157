import { cutText, reasonOf } from './classify.ts'
import type { Codec } from './codec.ts'
import type { Delivery } from './delivery-store.ts'
import { hasOrder } from './key-order.ts'
import { HEADERS, type Message, placeOf, type SourceRecord } from './message.ts'
import type { Reading } from './message-handling.ts'
import type { SubscriptionSettings } from './subscription-settings.ts'

type ReadingSettings<T> = Pick<
  SubscriptionSettings<T>,
  'group' | 'codec' | 'envelope' | 'order' | 'ttlMs'
>

/** An id is part of an index, whose entries PostgreSQL limits to a third of a page. */
const ID_CHARS_MAX = 512

/** Makes a record a message. Never throws. @param messageId instead of the record's own, when it has one already */
export function readRecord<T>(
  record: SourceRecord,
  settings: ReadingSettings<T>,
  messageId?: string,
): Reading<T> {
  const ordered = settings.order === 'key' && hasOrder(record)
  let id: string | null = null
  try {
    const headers = headersOf(record)
    id = nameOf(settings.envelope.id(record))
    const delivery: Delivery = { record, messageId: messageId ?? id ?? placeOf(record), ordered }
    const replayGroup = headers[HEADERS.replayGroup]
    if (replayGroup !== undefined && replayGroup !== settings.group) {
      return { kind: 'ignored', delivery }
    }
    if (id === null) return bad(delivery, `it has no id of 1 to ${ID_CHARS_MAX} characters`)
    const type = nameOf(settings.envelope.type(record))
    if (type === null) return bad(delivery, `it has no type of 1 to ${ID_CHARS_MAX} characters`)
    const delayUntil = timeOf(headers[HEADERS.delayUntil])
    if (delayUntil === 'bad') return bad(delivery, `${HEADERS.delayUntil} is no time`)
    const expiresAt = expiryOf(record, headers[HEADERS.expiresAt], settings.ttlMs)
    if (expiresAt === 'bad') return bad(delivery, `${HEADERS.expiresAt} is no time`)
    const mortal = expiresAt === null ? delivery : { ...delivery, expiresAt }
    return decoded(settings.codec, { delivery: mortal, type, headers, delayUntil, expiresAt })
  } catch (error) {
    const known = messageId ?? id ?? placeOf(record)
    return bad({ record, messageId: known, ordered }, `the envelope failed: ${reasonOf(error)}`)
  }
}

interface Found {
  readonly delivery: Delivery
  readonly type: string
  readonly headers: Message['headers']
  readonly delayUntil: Date | null
  readonly expiresAt: Date | null
}

function decoded<T>(
  codec: Codec<T>,
  { delivery, type, headers, delayUntil, expiresAt }: Found,
): Reading<T> {
  const { record, messageId } = delivery
  const { topic, partition, offset, key, timestampMs } = record
  let value: T
  try {
    value = codec.decode(record.value, record)
  } catch (error) {
    return bad(delivery, reasonOf(error))
  }
  const message: Message<T> = {
    id: messageId,
    type,
    topic,
    partition,
    offset,
    key: key === null ? null : key.toString('utf8'),
    at: new Date(timestampMs),
    headers,
    value,
  }
  return { kind: 'message', delivery, message, delayUntil, expiresAt }
}

function bad(delivery: Delivery, reason: string): Extract<Reading, { kind: 'bad' }> {
  return { kind: 'bad', delivery, reason: cutText(reason) }
}

/** Text that can be stored and found again. */
function nameOf(given: unknown): string | null {
  if (typeof given !== 'string' || given === '' || given.length > ID_CHARS_MAX) return null
  return given.includes('\0') ? null : given
}

function headersOf(record: SourceRecord): Record<string, string> {
  // Without a prototype: a header may be called `constructor`.
  const headers: Record<string, string> = Object.create(null)
  for (const { name, value } of record.headers) {
    if (value === null) delete headers[name]
    else headers[name] = value.toString('utf8')
  }
  return headers
}

function expiryOf(
  record: SourceRecord,
  header: string | undefined,
  ttlMs: number | null,
): Date | null | 'bad' {
  if (header !== undefined) return timeOf(header)
  if (ttlMs === null) return null
  const expiresAt = new Date(record.timestampMs + ttlMs)
  // So far ahead that Date cannot hold it.
  return Number.isNaN(expiresAt.getTime()) ? null : expiresAt
}

function timeOf(header: string | undefined): Date | null | 'bad' {
  if (header === undefined) return null
  const time = new Date(header)
  return Number.isNaN(time.getTime()) ? 'bad' : time
}
