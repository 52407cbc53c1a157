import type { OutboxEvent } from '../outbox/event.ts'
import { PARTITION_HEADER, partitionOfText } from '../outbox/partition-header.ts'

/** Bytes that Kafka's record format adds to key, value and headers, at most: lengths, deltas, attributes. */
const RECORD_OVERHEAD_BYTES = 32

/** What is published of an event, before a client has written it into a request. */
export interface KafkaRecord {
  readonly key: string | null
  /** Null: a tombstone. */
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
}

export interface EncodedRecord {
  readonly record: KafkaRecord
  /** Its size in a request, or a little more. */
  readonly bytes: number
  /** The one that the row names, not yet compared with the topic's; null: the key decides. */
  readonly partition: number | null
}

/** The row's headers are no object of strings. */
export class InvalidHeadersError extends TypeError {
  override readonly name = 'InvalidHeadersError'
}

/** The row names a partition that no topic can have. */
export class InvalidPartitionError extends TypeError {
  override readonly name = 'InvalidPartitionError'
}

/**
 * The record of an event: key, value bytes, the row's headers, then those by which consumers dedupe and trace it:
 * `event_id`, `event_type`, `sluice-id`. Sluice's names win over the row's. `PARTITION_HEADER` stays out of it.
 *
 * @throws InvalidHeadersError when the row's headers are not an object of strings
 * @throws InvalidPartitionError when the partition that they name is no number of a partition
 */
export function encodeRecord(event: OutboxEvent): EncodedRecord {
  const value = recordValue(event.payload)
  const headers = event.headersJson === '{}' ? {} : rowHeaders(event.headersJson)
  const partition = takePartition(headers)
  headers.event_id = event.eventId
  headers.event_type = event.eventType
  headers['sluice-id'] = event.id
  let bytes = RECORD_OVERHEAD_BYTES + (value?.length ?? 0)
  if (event.key !== null) bytes += Buffer.byteLength(event.key)
  for (const name in headers) {
    bytes += 10 + Buffer.byteLength(name) + Buffer.byteLength(headers[name] as string)
  }
  return { record: { key: event.key, value, headers }, bytes, partition }
}

function recordValue(payload: OutboxEvent['payload']): Buffer | null {
  if (payload === null) return null
  if (typeof payload === 'string') return Buffer.from(payload, 'utf8')
  if (Buffer.isBuffer(payload)) return payload
  // kafkajs would publish a plain Uint8Array as the text "104,101,…".
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
}

/** Takes the header out. */
function takePartition(headers: Record<string, string>): number | null {
  const text = headers[PARTITION_HEADER]
  if (text === undefined) return null
  delete headers[PARTITION_HEADER]
  const partition = partitionOfText(text)
  if (partition === null) {
    const shape = `text of ${text.length} characters`
    throw new InvalidPartitionError(
      `header ${PARTITION_HEADER} must be a partition's number in decimal digits, it is ${shape}`,
    )
  }
  return partition
}

function rowHeaders(headersJson: string): Record<string, string> {
  const row = parsed(headersJson)
  if (typeof row !== 'object' || row === null || Array.isArray(row)) {
    throw new InvalidHeadersError('headers must be a JSON object of strings')
  }
  const headers = row as Record<string, unknown>
  for (const name in headers) {
    const value = headers[name]
    if (typeof value !== 'string') {
      const shape =
        value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`
      throw new InvalidHeadersError(
        `header ${JSON.stringify(name)} must be a string, it is ${shape}`,
      )
    }
  }
  return headers as Record<string, string>
}

function parsed(headersJson: string): unknown {
  try {
    return JSON.parse(headersJson)
  } catch {
    // Its message would quote the text.
    throw new InvalidHeadersError('headers must be JSON')
  }
}
