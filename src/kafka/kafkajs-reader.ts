import type { Batch, Consumer, EachBatchPayload } from 'kafkajs'
import type { RecordBatch, RecordSink, TopicPartition } from '../consumer/record-source.ts'
import { type Assignment, type Reading, ToldPauses } from './kafkajs-assignment.ts'
import { sourceRecord } from './kafkajs-record.ts'
import { endsWithin } from './kafkajs-waits.ts'
import { partitionKey } from './partition-key.ts'

/** A sink that takes longer keeps only its own partition waiting: that one is paused until there is room. */
const TAKE_PATIENCE_MS = 20

/** What kafkajs 2.2.4 knows of a batch but does not declare. */
interface FetchedBatch extends Batch {
  readonly fetchedOffset: string
}

/** A batch without records for us, as kafkajs tells of it. */
export interface EmptyBatch extends TopicPartition {
  readonly lastOffset: string
  readonly highWatermark: string
}

export interface ReaderOptions {
  readonly consumer: Consumer
  readonly sink: RecordSink
  /** Keys of the partitions that are not to be read; may change, see `reconcile`. */
  readonly paused: () => ReadonlySet<string>
  /** The sink broke its word, or kafkajs did. */
  readonly onFault: (error: unknown) => void
}

/** Hands over what kafkajs has fetched, to a sink that may be slow, without a word lost or told twice. */
export class KafkajsReader {
  readonly #options: ReaderOptions
  readonly #pauses: ToldPauses
  #assignment: Assignment | null = null

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#pauses = new ToldPauses(options.consumer)
  }

  /** Nothing is fetched until `open`. Called while kafkajs tells of the join, before its first fetch. */
  begin(assignment: Assignment): void {
    this.#assignment = assignment
    this.reconcile()
  }

  /** Reads from the positions on. */
  open(assignment: Assignment): void {
    for (const reading of assignment.readings.values()) this.#seek(reading)
    assignment.open = true
    this.reconcile()
  }

  /** Hands over nothing more. */
  close(assignment: Assignment): void {
    assignment.open = false
    assignment.ending.abort()
    this.reconcile()
  }

  /** Tells kafkajs what is to be paused now. */
  reconcile(): void {
    const assignment = this.#assignment
    if (assignment === null) return
    const paused = this.#options.paused()
    try {
      this.#pauses.reconcile(
        assignment.readings.values(),
        reading => !assignment.open || reading.full || paused.has(partitionKey(reading)),
      )
    } catch {
      // The consumer has stopped by itself: there is nothing left to pause.
    }
  }

  /** kafkajs's handler; never throws, as that would count against the consumer's life. */
  async eachBatch({ batch, resolveOffset }: EachBatchPayload): Promise<void> {
    try {
      const found = this.#find(batch)
      if (found === null) return
      const { reading } = found
      if (BigInt((batch as FetchedBatch).fetchedOffset) !== reading.next) {
        this.#seek(reading)
        return
      }
      const lastOffset = batch.lastOffset()
      const { topic, partition, messages } = batch
      reading.next = BigInt(lastOffset) + 1n
      // Its position moves on whatever becomes of the records: what counts is what is committed.
      resolveOffset(lastOffset)
      const records = messages.map(message => sourceRecord(topic, partition, message))
      await this.#hand(found.assignment, reading, batch.highWatermark, records)
    } catch (error) {
      this.#options.onFault(error)
    }
  }

  /** Marks of transactions and aborted records alone: kafkajs passes over them without its handler. */
  async passed(batch: EmptyBatch): Promise<void> {
    const found = this.#find(batch)
    const next = BigInt(batch.lastOffset) + 1n
    if (found === null || next <= found.reading.next) return
    found.reading.next = next
    await this.#hand(found.assignment, found.reading, batch.highWatermark, [])
  }

  /** Goes on elsewhere, if this is still where reading stands; if not, kafkajs is set to where it does. */
  move(assignment: Assignment, partition: TopicPartition, from: bigint, to: bigint): boolean {
    const reading = assignment.readingOf(partition)
    if (this.#assignment !== assignment || !assignment.open || reading === undefined) return false
    const moves = reading.next === from
    if (moves) {
      reading.next = to
      reading.floor = null
    }
    this.#seek(reading)
    return moves
  }

  #find(partition: TopicPartition): { assignment: Assignment; reading: Reading } | null {
    const assignment = this.#assignment
    const reading = assignment?.readingOf(partition)
    return assignment?.open && reading ? { assignment, reading } : null
  }

  async #hand(
    assignment: Assignment,
    reading: Reading,
    highWatermark: string,
    records: RecordBatch['records'],
  ): Promise<void> {
    const { topic, partition, next } = reading
    const batch: RecordBatch = {
      topic,
      partition,
      epoch: assignment.epoch,
      records,
      nextOffset: next,
      highWatermark: BigInt(highWatermark),
    }
    const taking = reading.taking
      .then(() => (assignment.open ? this.#options.sink.take(batch) : undefined))
      .catch(error => this.#options.onFault(error))
    let taken = false
    reading.taking = taking.then(() => {
      taken = true
      if (!reading.full) return
      reading.full = false
      this.reconcile()
    })
    if ((await endsWithin(taking, TAKE_PATIENCE_MS)) || taken) return
    reading.full = true
    this.reconcile()
  }

  #seek({ topic, partition, next }: Reading): void {
    this.#options.consumer.seek({ topic, partition, offset: String(next) })
  }
}
