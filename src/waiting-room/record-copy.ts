import { HEADERS, headerText, placeOf, type SourceRecord } from '../consumer/message.ts'
import type { Tx } from '../consumer/tx.ts'
import { PARTITION_HEADER } from '../outbox/partition-header.ts'

export interface RecordCopy {
  readonly record: SourceRecord
  readonly topic: string
  /** Beside the record's own, and instead of those of the same name. */
  readonly headers: Readonly<Record<string, string>>
  /** The copy's id; null: a new one. */
  readonly eventId: string | null
}

/** What Sluice gives to every record that it publishes, and what would send the copy to a partition of another topic. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  HEADERS.eventId,
  HEADERS.eventType,
  'sluice-id',
  PARTITION_HEADER,
])

/**
 * Publishes a record again through the outbox, at the transaction's commit: its bytes untouched, its key and headers as
 * text, which is what the outbox has; of a header that comes twice, the last. Header `twr-origin` tells where it lay.
 */
export async function publishCopy(tx: Tx, copy: RecordCopy): Promise<void> {
  const { record, topic, eventId } = copy
  const headers = new Map<string, string>()
  for (const { name, value } of record.headers) {
    if (!OWN_HEADERS.has(name))
      headers.set(writableText(name), writableText(value?.toString('utf8') ?? ''))
  }
  // A copy of a copy still tells of the first place.
  if (!headers.has(HEADERS.origin)) headers.set(HEADERS.origin, placeOf(record))
  for (const [name, value] of Object.entries(copy.headers)) headers.set(name, writableText(value))
  const key = record.key === null ? null : writableText(record.key.toString('utf8'))
  const eventType = writableText(headerText(record, HEADERS.eventType) ?? '')
  await tx`
    insert into outbox.events (event_id, topic, key, event_type, payload_bytes, headers)
    values (
      coalesce(${eventId}::uuid, gen_random_uuid()), ${topic}, ${key}::text, ${eventType}, ${record.value}::bytea,
      ${JSON.stringify(Object.fromEntries(headers))}::text::jsonb
    )`
}

/** PostgreSQL refuses NUL in a text, and half of a surrogate pair in jsonb. */
export function writableText(value: string): string {
  return value.replace(/\0|\p{Surrogate}/gu, '\u{fffd}')
}
