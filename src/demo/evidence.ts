import type { Consumer, Kafka, KafkaMessage } from 'kafkajs'
import { SluiceError } from '../errors.ts'
import { pause } from '../internal/pause.ts'
import { fingerprintOf, sha256 } from './fingerprint.ts'
import { disconnect, endOffsets, freshName, headersAsText } from './kafka.ts'
import type { Sql } from './shop-schema.ts'
import { type CommittedEvent, type DeliveredRecord, Judge, type Verdict } from './verdict.ts'

const LEDGER_ROWS = 5_000
/** Headers that the relay adds to those of the row. */
const ADDED_HEADERS = ['event_id', 'event_type', 'sluice-id']

export interface Evidence {
  readonly sql: Sql
  readonly kafka: Kafka
  readonly topics: readonly string[]
  /** Reading fails when Kafka gives no record for this long. */
  readonly stallMs: number
  /** Told of each record that never committed. */
  readonly onPhantom?: (record: DeliveredRecord) => void
}

/** Judges the topics by the shop's ledger. The relay must have ended, or have nothing left to publish. */
export async function judgeTopics(evidence: Evidence): Promise<Verdict> {
  const judge = new Judge()
  await readLedger(evidence.sql, evidence.topics, event => judge.commit(event))
  await readTopics(evidence, record => {
    if (!judge.deliver(record)) evidence.onPhantom?.(record)
  })
  return judge.verdict()
}

interface LedgerRow {
  readonly event_id: string
  readonly topic: string
  readonly key: string
  readonly seq_in_key: string
  readonly event_type: string
  readonly headers: Record<string, string>
  readonly payload_sha256: string
}

/** Hands over every event of the topics that committed, in no particular order. */
export async function readLedger(
  sql: Sql,
  topics: readonly string[],
  onEvent: (event: CommittedEvent) => void,
): Promise<void> {
  const rows = sql<LedgerRow[]>`
    select event_id, topic, key, seq_in_key, event_type, headers, payload_sha256
    from shop.ledger
    where topic = any(${topics})
  `.cursor(LEDGER_ROWS)
  for await (const batch of rows) {
    for (const row of batch) {
      const { event_type: eventType, headers, payload_sha256: payloadSha256 } = row
      onEvent({
        eventId: row.event_id,
        topic: row.topic,
        key: row.key,
        seqInKey: Number(row.seq_in_key),
        fingerprint: fingerprintOf({ eventType, headers, payloadSha256 }),
      })
    }
  }
}

/**
 * Hands over every record that the topics hold when it is called, those of a partition in offset order.
 * The topics must begin at offset 0.
 * @throws SluiceError code `broker` when no record comes for `stallMs`
 */
export async function readTopics(
  { kafka, topics, stallMs }: Omit<Evidence, 'sql'>,
  onRecord: (record: DeliveredRecord) => void,
): Promise<void> {
  const admin = kafka.admin()
  const groupId = freshName('sluice-verdict')
  const consumer = kafka.consumer({ groupId, allowAutoTopicCreation: false })
  try {
    await admin.connect()
    const remaining = new Remaining()
    for (const topic of topics) remaining.add(topic, await endOffsets(admin, topic))
    if (remaining.partitions > 0) {
      await consumer.connect()
      await consumer.subscribe({ topics: [...topics], fromBeginning: true })
      await consume(consumer, remaining, stallMs, onRecord)
    }
  } finally {
    await disconnect(consumer)
    await admin.deleteGroups([groupId]).catch(() => {}) // best effort: an idle group expires by itself
    await disconnect(admin)
  }
}

async function consume(
  consumer: Consumer,
  remaining: Remaining,
  stallMs: number,
  onRecord: (record: DeliveredRecord) => void,
): Promise<void> {
  const ended = new AbortController()
  let fault: unknown
  let progressAtMs = performance.now()
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (payload.restart) return
    fault = payload.error
    ended.abort()
  })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      progressAtMs = performance.now()
      for (const message of batch.messages) {
        if (!remaining.takes(batch.topic, batch.partition, Number(message.offset))) continue
        onRecord(recordOf(batch.topic, batch.partition, message))
      }
      remaining.reached(batch.topic, batch.partition, Number(batch.lastOffset()))
      if (remaining.partitions === 0) ended.abort()
    },
  })
  while (!ended.signal.aborted) {
    const quietMs = performance.now() - progressAtMs
    if (quietMs > stallMs) {
      const message = `Kafka gave no record for ${stallMs} ms, ${remaining.partitions} partitions are not read to their end`
      throw new SluiceError('broker', message, { retryable: true })
    }
    await pause(stallMs - quietMs + 1, ended.signal)
  }
  if (fault) throw new SluiceError('broker', 'reading the topics failed', { cause: fault })
}

/** The part of each partition that is still to be read: from what was read to the end it had at the start. */
class Remaining {
  readonly #ends = new Map<string, { next: number; readonly end: number }>()

  /** Partitions not read to their end. */
  get partitions(): number {
    let open = 0
    for (const { next, end } of this.#ends.values()) if (next < end) open += 1
    return open
  }

  add(topic: string, ends: ReadonlyMap<number, number>): void {
    for (const [partition, end] of ends) this.#ends.set(`${topic}/${partition}`, { next: 0, end })
  }

  /** Is this offset to be handed over? A rebalance makes kafkajs fetch some records again. */
  takes(topic: string, partition: number, offset: number): boolean {
    const range = this.#ends.get(`${topic}/${partition}`)
    if (!range || offset < range.next || offset >= range.end) return false
    range.next = offset + 1
    return true
  }

  /** Offsets up to this one are done, also those that hold no record. */
  reached(topic: string, partition: number, offset: number): void {
    const range = this.#ends.get(`${topic}/${partition}`)
    if (range) range.next = Math.max(range.next, offset + 1)
  }
}

function recordOf(topic: string, partition: number, message: KafkaMessage): DeliveredRecord {
  const headers = headersAsText(message.headers)
  const { event_id: eventId = null, event_type: eventType = '' } = headers
  const own = Object.entries(headers).filter(([name]) => !ADDED_HEADERS.includes(name))
  return {
    eventId,
    topic,
    partition,
    key: message.key === null ? null : message.key.toString(),
    fingerprint: fingerprintOf({
      eventType,
      headers: Object.fromEntries(own),
      payloadSha256: sha256(message.value),
    }),
  }
}
