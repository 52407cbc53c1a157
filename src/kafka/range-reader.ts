import { randomUUID } from 'node:crypto'
import type { Admin, Kafka } from 'kafkajs'
import type { SourceRecord } from '../consumer/message.ts'
import { SluiceError } from '../errors.ts'
import { Condition } from '../internal/condition.ts'
import { withDeadline } from '../internal/deadline.ts'
import { sourceRecord } from './kafkajs-record.ts'

export interface RangeQuery {
  readonly topic: string
  /** Undefined: all of them. */
  readonly partition?: number
  readonly fromOffset?: bigint
  readonly fromTime?: Date
  /** Behind the last; neither: what is there now. */
  readonly toOffset?: bigint
  readonly toTime?: Date
}

interface Part {
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
}

/** Records that wait for whoever reads, at most, but for one fetch. */
const BUFFERED_MAX = 2_000
/** No record and no end for so long: the broker is gone. */
const SILENCE_MS = 30_000
const CLOSE_TIMEOUT_MS = 2_000

/**
 * The committed records of a topic between two places, partition after partition, each in offset order. Reads as a
 * member of a group of its own, which commits nothing.
 * @throws SluiceError `broker`
 */
export async function* readRange(kafka: Kafka, query: RangeQuery): AsyncGenerator<SourceRecord> {
  try {
    for (const part of await partsOf(kafka, query)) yield* readPart(kafka, query.topic, part)
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    throw new SluiceError('broker', `reading topic ${query.topic} failed`, {
      cause,
      retryable: true,
    })
  }
}

async function partsOf(kafka: Kafka, query: RangeQuery): Promise<Part[]> {
  const admin = kafka.admin()
  try {
    await admin.connect()
    const known = await admin.fetchTopicOffsets(query.topic)
    const from = await offsetsAt(admin, query.topic, query.fromTime)
    const to = await offsetsAt(admin, query.topic, query.toTime)
    return known
      .filter(({ partition }) => query.partition === undefined || query.partition === partition)
      .map(({ partition, low, high }) => ({
        partition,
        from: greatest(BigInt(low), from?.get(partition) ?? query.fromOffset ?? 0n),
        to: least(BigInt(high), to?.get(partition) ?? query.toOffset ?? BigInt(high)),
      }))
      .filter(part => part.from < part.to)
  } finally {
    await closed(admin)
  }
}

/** Of the first record at or after the time, per partition; null without a time. */
async function offsetsAt(
  admin: Admin,
  topic: string,
  time: Date | undefined,
): Promise<Map<number, bigint> | null> {
  if (time === undefined) return null
  const offsets = await admin.fetchTopicOffsetsByTimestamp(topic, time.getTime())
  return new Map(offsets.map(({ partition, offset }) => [partition, BigInt(offset)]))
}

async function* readPart(kafka: Kafka, topic: string, part: Part): AsyncGenerator<SourceRecord> {
  const reading = new PartReading(kafka, topic, part)
  try {
    await reading.start()
    for (;;) {
      const record = await reading.next()
      if (record === null) return
      yield record
    }
  } finally {
    await reading.stop()
  }
}

class PartReading {
  readonly #topic: string
  readonly #part: Part
  readonly #consumer
  readonly #change = new Condition()
  #buffer: SourceRecord[] = []
  #taken = 0
  /** Offset behind what has come. */
  #reached: bigint
  #fault: unknown
  #paused = false

  constructor(kafka: Kafka, topic: string, part: Part) {
    this.#topic = topic
    this.#part = part
    this.#reached = part.from
    this.#consumer = kafka.consumer({
      groupId: `sluice-replay-${randomUUID()}`,
      allowAutoTopicCreation: false,
      maxWaitTimeInMs: 200,
      retry: { retries: 4, restartOnFailure: async () => false },
    })
  }

  async start(): Promise<void> {
    const consumer = this.#consumer
    const { partition, from } = this.#part
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      this.#fault = payload.error
      this.#change.notify()
    })
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      const others = payload.memberAssignment[this.#topic]?.filter(each => each !== partition) ?? []
      if (others.length > 0) consumer.pause([{ topic: this.#topic, partitions: others }])
    })
    // Told also of batches that hold nothing but marks of transactions.
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
      if (payload.partition === partition) this.#reach(BigInt(payload.lastOffset) + 1n)
    })
    await consumer.connect()
    await consumer.subscribe({ topic: this.#topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        if (batch.partition !== partition) return
        for (const message of batch.messages)
          this.#take(sourceRecord(this.#topic, partition, message))
      },
    })
    consumer.seek({ topic: this.#topic, partition, offset: String(from) })
  }

  /** null: the range has been read to its end. */
  async next(): Promise<SourceRecord | null> {
    const ready = () => this.#left > 0 || this.#ended || this.#fault !== undefined
    const silent = () => new Error(`nothing came within ${SILENCE_MS} ms`)
    await withDeadline(this.#change.until(ready), SILENCE_MS, silent)
    if (this.#left === 0) {
      if (this.#fault !== undefined) throw this.#fault
      return null
    }
    const record = this.#buffer[this.#taken++] as SourceRecord
    if (this.#left === 0) {
      this.#buffer = []
      this.#taken = 0
      this.#setPaused(false)
    }
    return record
  }

  async stop(): Promise<void> {
    await closed(this.#consumer)
  }

  get #left(): number {
    return this.#buffer.length - this.#taken
  }

  get #ended(): boolean {
    return this.#reached >= this.#part.to
  }

  /** Before the seek takes effect, earlier records may come; after a rebalance, known ones. */
  #take(record: SourceRecord): void {
    if (record.offset < this.#reached || record.offset >= this.#part.to) return
    this.#buffer.push(record)
    this.#reach(record.offset + 1n)
    if (this.#left > BUFFERED_MAX) this.#setPaused(true)
  }

  #reach(offset: bigint): void {
    if (offset > this.#reached) this.#reached = offset
    this.#change.notify()
  }

  #setPaused(paused: boolean): void {
    if (paused === this.#paused) return
    this.#paused = paused
    const places = [{ topic: this.#topic, partitions: [this.#part.partition] }]
    if (paused) this.#consumer.pause(places)
    else this.#consumer.resume(places)
  }
}

/** kafkajs waits without a limit for connections that do not answer. */
async function closed(client: { disconnect(): Promise<void> }): Promise<void> {
  const late = () => new Error('not closed in time')
  await withDeadline(client.disconnect(), CLOSE_TIMEOUT_MS, late).catch(() => {})
}

function greatest(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}
