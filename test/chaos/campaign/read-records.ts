import type { Consumer, Kafka, KafkaMessage } from 'kafkajs'
import { fingerprintOf, sha256 } from '../../../src/demo/fingerprint.ts'
import { disconnect, endOffsets, freshName, headersAsText } from '../../../src/demo/kafka.ts'
import { pause } from '../../../src/internal/pause.ts'
import type { KafkaRecord } from './history.ts'

/** No record for this long: the rest cannot be read. */
const STALL_MS = 30_000

/** Headers that the relay adds to those of the row. */
const ADDED = new Set(['event_id', 'event_type', 'sluice-id'])

/** A record as it was read. */
export interface ReadMessage {
  readonly topic: string
  readonly partition: number
  readonly message: KafkaMessage
}

/** Hands over every record of those topics that exist, from offset 0 on, those of a partition in offset order. */
export function readRecords(
  kafka: Kafka,
  topics: readonly string[],
  onRecord: (record: KafkaRecord) => void,
): Promise<void> {
  return readMessages(kafka, topics, read => onRecord(recordOf(read)))
}

/** As `readRecords`, untouched. */
export async function readMessages(
  kafka: Kafka,
  topics: readonly string[],
  onMessage: (read: ReadMessage) => void,
): Promise<void> {
  const admin = kafka.admin()
  const consumer = kafka.consumer({ groupId: freshName('chaos'), allowAutoTopicCreation: false })
  try {
    await admin.connect()
    const ends = new Map<string, { next: number; readonly end: number }>()
    const there = new Set(await admin.listTopics())
    const readable = topics.filter(topic => there.has(topic))
    for (const topic of readable) {
      for (const [partition, end] of await endOffsets(admin, topic)) {
        if (end > 0) ends.set(`${topic}/${partition}`, { next: 0, end })
      }
    }
    if (ends.size === 0) return
    await consumer.connect()
    await consumer.subscribe({ topics: readable, fromBeginning: true })
    await consume(consumer, ends, onMessage)
  } finally {
    await disconnect(consumer)
    await disconnect(admin)
  }
}

async function consume(
  consumer: Consumer,
  ends: Map<string, { next: number; readonly end: number }>,
  onMessage: (read: ReadMessage) => void,
): Promise<void> {
  const ended = new AbortController()
  let progressMs = performance.now()
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      progressMs = performance.now()
      const name = `${batch.topic}/${batch.partition}`
      const range = ends.get(name)
      if (!range) return
      for (const message of batch.messages) {
        const offset = Number(message.offset)
        // A rebalance makes kafkajs fetch some again.
        if (offset < range.next || offset >= range.end) continue
        range.next = offset + 1
        onMessage({ topic: batch.topic, partition: batch.partition, message })
      }
      range.next = Math.max(range.next, Number(batch.lastOffset()) + 1)
      if (range.next >= range.end) ends.delete(name)
      if (ends.size === 0) ended.abort()
    },
  })
  while (!ended.signal.aborted) {
    const quietMs = performance.now() - progressMs
    if (quietMs > STALL_MS) throw new Error(`Kafka gave no record for ${STALL_MS} ms`)
    await pause(STALL_MS - quietMs + 1, ended.signal)
  }
}

function recordOf({ topic, partition, message }: ReadMessage): KafkaRecord {
  const headers = headersAsText(message.headers)
  const { event_id: eventId = null, event_type: eventType = '', 'sluice-id': id = null } = headers
  const own = Object.entries(headers).filter(([name]) => !ADDED.has(name))
  return {
    kind: 'record',
    topic,
    partition,
    offset: message.offset,
    key: message.key === null ? null : message.key.toString(),
    eventId,
    id,
    content: fingerprintOf({
      eventType,
      headers: Object.fromEntries(own),
      payloadSha256: sha256(message.value),
    }),
    timestampMs: Number(message.timestamp),
  }
}
