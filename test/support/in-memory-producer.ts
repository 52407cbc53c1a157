import { monotonicMs } from '../../src/internal/monotonic.ts'
import { partitionOfKey, partitionOfKeyless } from '../../src/kafka/partitioner.ts'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import { PARTITION_HEADER, partitionOfText } from '../../src/outbox/partition-header.ts'
import type { Outcome, Producer, Rejected, Unknown } from '../../src/relay/producer.ts'
import type { TopicRecord } from './kafka.ts'

/** Kafka's own default is about the same. */
const RECORD_BYTES_MAX = 1_000_000

/** A producer whose broker is a map; it passes the producer's contract like the real ones. */
export class InMemoryProducer implements Producer {
  /** While it is set, nothing is stored and this is the outcome of all. */
  outage: Unknown | null = null
  /** The batches in the order in which they came, whatever became of them. */
  readonly batches: (readonly OutboxEvent[])[] = []
  readonly #topics = new Map<string, TopicRecord[][]>()
  #closed = false

  createTopic(name: string, partitions: number): void {
    this.#topics.set(
      name,
      Array.from({ length: partitions }, () => []),
    )
  }

  /** The topic's records by partition and offset. */
  read(topic: string): TopicRecord[] {
    return this.#topics.get(topic)?.flat() ?? []
  }

  async publish(batch: readonly OutboxEvent[], untilMs: number): Promise<Outcome[]> {
    this.batches.push(batch)
    const held = new Set<string>()
    return batch.map(event => {
      const name = JSON.stringify([event.topic, event.key])
      if (held.has(name)) return HELD
      const outcome = this.#publishOne(event, untilMs)
      if (outcome.kind !== 'acked' && event.key !== null) held.add(name)
      return outcome
    })
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #publishOne(event: OutboxEvent, untilMs: number): Outcome {
    if (this.outage) return this.outage
    if (this.#closed) return unknown('closed', 'producer', 'cluster')
    if (monotonicMs() >= untilMs) return unknown('timeout', 'broker', 'cluster')
    const headers = headersOf(event)
    if (headers === null) return rejected('invalid_headers')
    const partitions = this.#topics.get(event.topic)
    if (!partitions) return unknown('UNKNOWN_TOPIC_OR_PARTITION', 'broker', 'topic')
    const value = event.payload === null ? null : Buffer.from(event.payload)
    if (value !== null && value.length > RECORD_BYTES_MAX) return rejected('message_too_large')
    const partition = partitionOf(event, partitions.length)
    if (partition === null) return rejected('invalid_partition')
    const records = partitions[partition] ?? []
    const offset = BigInt(records.length)
    const key = event.key === null ? null : Buffer.from(event.key)
    records.push({ partition, offset, key, value, headers, timestamp: Date.now() })
    return { kind: 'acked', partition, offset: String(offset) }
  }
}

const HELD = unknown('key_held', 'held', 'topic')

function unknown(code: string, fault: Unknown['fault'], scope: Unknown['scope']): Unknown {
  return { kind: 'unknown', code, message: code, fault, scope }
}

function rejected(code: string): Rejected {
  return { kind: 'rejected', code, message: code, permanent: true }
}

/** Null: the event names one that is not there. */
function partitionOf({ headersJson, key, id }: OutboxEvent, partitions: number): number | null {
  const named = (JSON.parse(headersJson) as Record<string, string>)[PARTITION_HEADER]
  if (named === undefined) {
    return key === null ? partitionOfKeyless(id, partitions) : partitionOfKey(key, partitions)
  }
  const partition = partitionOfText(named)
  return partition !== null && partition < partitions ? partition : null
}

function headersOf({ headersJson, eventId, eventType, id }: OutboxEvent) {
  const row = JSON.parse(headersJson) as Record<string, string>
  if (typeof row !== 'object' || Array.isArray(row)) return null
  const legal = Object.values(row).every(value => typeof value === 'string')
  delete row[PARTITION_HEADER]
  return legal ? { ...row, event_id: eventId, event_type: eventType, 'sluice-id': id } : null
}
