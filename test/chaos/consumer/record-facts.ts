import type { KafkaMessage } from 'kafkajs'
import { sha256 } from '../../../src/demo/fingerprint.ts'
import { headersAsText } from '../../../src/demo/kafka.ts'
import type { ReadMessage } from '../campaign/read-records.ts'
import type { ProducedRecord, PublishedDeadLetter } from './history.ts'

/** Headers that a dead letter has beside those of its record. */
const ADDED = new Set(['event_id', 'event_type', 'sluice-id', 'twr-error', 'twr-origin'])

/** What the checker needs to know of a record that was produced; it says itself what is to become of it. */
export function producedRecordOf({ topic, partition, message }: ReadMessage): ProducedRecord {
  const headers = headersAsText(message.headers)
  const id = headers.event_id
  return {
    kind: 'record',
    topic,
    partition,
    offset: Number(message.offset),
    key: message.key?.toString() ?? null,
    messageId: id ?? `${topic}/${partition}/${message.offset}`,
    bad: id === undefined || headers.unreadable !== undefined || headers.act === 'poison',
    ordered: message.key !== null && headers['twr-ordered'] !== 'false',
    delayUntilMs: timeOf(headers['twr-delay-until']),
    expiresAtMs: timeOf(headers['twr-expires-at']),
    timestampMs: Number(message.timestamp),
    valueSha256: sha256(message.value),
    headers: comparable(message),
  }
}

export function deadLetterOf({ message }: ReadMessage): PublishedDeadLetter {
  const headers = headersAsText(message.headers)
  return {
    kind: 'dead_letter',
    messageId: headers.event_id ?? '',
    origin: headers['twr-origin'] ?? '',
    valueSha256: sha256(message.value),
    headers: comparable(message),
  }
}

function comparable({ headers }: KafkaMessage): string {
  const own = Object.entries(headersAsText(headers)).filter(([name]) => !ADDED.has(name))
  return JSON.stringify(own.sort(([a], [b]) => (a < b ? -1 : 1)))
}

function timeOf(text: string | undefined): number | null {
  return text === undefined ? null : Date.parse(text)
}
