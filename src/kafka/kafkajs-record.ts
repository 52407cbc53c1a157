import type { KafkaMessage } from 'kafkajs'
import type { RecordHeader, SourceRecord } from '../consumer/message.ts'

/** A record as kafkajs reads it, in our words. */
export function sourceRecord(
  topic: string,
  partition: number,
  message: KafkaMessage,
): SourceRecord {
  return {
    topic,
    partition,
    offset: BigInt(message.offset),
    key: message.key,
    value: message.value,
    headers: headersOf(message.headers),
    timestampMs: Number(message.timestamp),
  }
}

function headersOf(headers: KafkaMessage['headers']): RecordHeader[] {
  const found: RecordHeader[] = []
  for (const [name, given] of Object.entries(headers ?? {})) {
    for (const value of Array.isArray(given) ? given : [given]) {
      // A name that every object has, such as `constructor`, comes with the inherited thing before its own values.
      if (Buffer.isBuffer(value) || value === null) found.push({ name, value })
    }
  }
  return found
}
