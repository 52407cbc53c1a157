import { randomUUID } from 'node:crypto'
import type { Consumer, Kafka, KafkaMessage } from 'kafkajs'
import { SluiceError } from '../errors.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import type { KafkaConnection } from '../kafka/connection.ts'
import { closed, openOperatorKafka, RETRY, withAdmin } from './kafka-access.ts'
import { TopicRange } from './topic-range.ts'

export interface ReadOrder {
  readonly topic: string
  /** null: all of them. */
  readonly partition: number | null
  /** Where each partition is read from: an offset, or so many before its end. */
  readonly from: { readonly offset: number } | { readonly last: number }
  /** Only records with this key. */
  readonly key: string | null
  /** Records returned, at most: the first ones from an offset, the newest ones before the end. */
  readonly limit: number
}

export interface TopicMessage {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: Buffer | null
  /** null: a tombstone. */
  readonly value: Buffer | null
  /** In the record's order; a name may come twice. */
  readonly headers: readonly (readonly [name: string, value: string])[]
}

export interface TopicReading {
  readonly messages: readonly TopicMessage[]
  readonly scanned: number
  /** Why not everything was looked at; null when it was. */
  readonly stopped: 'scan limit' | 'time limit' | null
}

/** Records looked at by one call. */
export const SCAN_MAX = 100_000
const READ_TIMEOUT_MS = 30_000
const CLOSE_TIMEOUT_MS = 1_000

/**
 * Reads committed records of a topic up to the end that it has when called, and ends by itself. It joins a consumer
 * group of its own that commits nothing and is deleted afterwards.
 * @throws SluiceError `broker`: not reachable, no such topic or partition, or not allowed
 */
export async function readMessages(
  connection: KafkaConnection,
  order: ReadOrder,
): Promise<TopicReading> {
  const kafka = openOperatorKafka(connection)
  const range = await rangeOf(kafka, order)
  const reader = new Reader(order, range)
  if (range.open.length > 0) await reader.read(kafka)
  return reader.result
}

async function rangeOf(kafka: Kafka, { topic, partition, from }: ReadOrder): Promise<TopicRange> {
  const offsets = await withAdmin(kafka, `reading the offsets of topic ${topic}`, admin =>
    admin.fetchTopicOffsets(topic),
  )
  const chosen = offsets.filter(each => partition === null || each.partition === partition)
  if (chosen.length === 0) {
    const message = `topic ${topic} has ${offsets.length} partitions, 0 to ${offsets.length - 1}: there is no ${partition}`
    throw new SluiceError('options', message)
  }
  const range = new TopicRange()
  for (const { partition: number, low, high } of chosen) {
    const start = 'offset' in from ? from.offset : Number(high) - from.last
    range.add(number, Math.max(start, Number(low)), Number(high))
  }
  return range
}

class Reader {
  readonly #order: ReadOrder
  readonly #range: TopicRange
  readonly #ended = new AbortController()
  /** Per partition in offset order. */
  readonly #found = new Map<number, TopicMessage[]>()
  #scanned = 0
  #stopped: TopicReading['stopped'] = null
  #fault: unknown

  constructor(order: ReadOrder, range: TopicRange) {
    this.#order = order
    this.#range = range
  }

  get result(): TopicReading {
    const { from, limit } = this.#order
    const all = [...this.#found.values()].flatMap(withTimeReached)
    all.sort(
      (a, b) => a.reachedMs - b.reachedMs || a.partition - b.partition || a.offset - b.offset,
    )
    const chosen = 'offset' in from ? all.slice(0, limit) : all.slice(-limit)
    const messages = chosen.map(({ reachedMs: _, ...message }) => message)
    return { messages, scanned: this.#scanned, stopped: this.#stopped }
  }

  async read(kafka: Kafka): Promise<void> {
    const groupId = `sluice-inspect-${randomUUID()}`
    const consumer = kafka.consumer({
      groupId,
      allowAutoTopicCreation: false,
      maxWaitTimeInMs: 200,
      retry: { ...RETRY, restartOnFailure: async () => false },
    })
    const untilMs = monotonicMs() + READ_TIMEOUT_MS
    try {
      const consuming = this.#consume(consumer).catch(error => this.#fail(error))
      await pause(untilMs - monotonicMs(), this.#ended.signal)
      if (!this.#ended.signal.aborted) this.#stopped = 'time limit'
      this.#ended.abort()
      await closed(consumer)
      await Promise.race([consuming, pause(CLOSE_TIMEOUT_MS, new AbortController().signal)])
    } finally {
      await withAdmin(kafka, 'deleting the group', admin => admin.deleteGroups([groupId])).catch(
        () => {}, // an idle group without offsets expires by itself
      )
    }
    if (this.#fault !== undefined) {
      const message = `reading topic ${this.#order.topic} failed`
      throw new SluiceError('broker', message, { cause: this.#fault, retryable: true })
    }
  }

  async #consume(consumer: Consumer): Promise<void> {
    const { topic } = this.#order
    consumer.on(consumer.events.CRASH, ({ payload }) => this.#fail(payload.error))
    // Told also of batches that hold nothing but marks of transactions.
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
      this.#range.reached(payload.partition, Number(payload.lastOffset))
      if (this.#range.open.length === 0) this.#ended.abort()
    })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        for (const message of batch.messages) this.#take(batch.partition, message)
      },
    })
    for (const { partition, next } of this.#range.open) {
      consumer.seek({ topic, partition, offset: String(next) })
    }
  }

  #take(partition: number, message: KafkaMessage): void {
    if (this.#ended.signal.aborted) return
    const { from, key, limit } = this.#order
    if (!this.#range.takes(partition, Number(message.offset))) return
    this.#scanned += 1
    if (key === null || message.key?.toString() === key) {
      const found = this.#found.get(partition) ?? []
      this.#found.set(partition, found)
      found.push(toMessage(partition, message))
      if (found.length > limit) found.shift()
      if ('offset' in from && found.length === limit) this.#range.close(partition)
    }
    if (this.#scanned >= SCAN_MAX) this.#stopped = 'scan limit'
    if (this.#stopped || this.#range.open.length === 0) this.#ended.abort()
  }

  #fail(error: unknown): void {
    if (this.#ended.signal.aborted) return
    this.#fault = error
    this.#ended.abort()
  }
}

/** Producers give timestamps as they like; the offsets of a partition must stay in order among those of others. */
function withTimeReached(
  messages: readonly TopicMessage[],
): (TopicMessage & { readonly reachedMs: number })[] {
  let reachedMs = 0
  return messages.map(message => {
    reachedMs = Math.max(reachedMs, message.timestamp)
    return { ...message, reachedMs }
  })
}

function toMessage(partition: number, message: KafkaMessage): TopicMessage {
  const headers = Object.entries(message.headers ?? {}).flatMap(([name, given]) =>
    (Array.isArray(given) ? given : [given]).map(value => [name, String(value ?? '')] as const),
  )
  return {
    partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers,
  }
}
