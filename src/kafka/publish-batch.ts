import { describeError } from '../errors.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { Outcome, Unknown } from '../relay/producer.ts'
import type { EventFault, Fault } from './fault.ts'
import { partitionOfKey, partitionOfKeyless } from './partitioner.ts'
import {
  type EncodedRecord,
  encodeRecord,
  InvalidHeadersError,
  type KafkaRecord,
} from './record.ts'

/** Indices of a batch's events that go to one partition, in the batch's order. */
export interface PartitionList {
  readonly topic: string
  readonly partition: number
  readonly indices: number[]
}

const HELD: Unknown = {
  kind: 'unknown',
  code: 'key_held',
  message: 'an earlier event of the key was not published',
  fault: 'held',
  scope: 'topic',
}

/**
 * A batch while it is being published: its records and, one by one, its outcomes. A key is held from its first
 * event that was not acknowledged: the later ones must not overtake it.
 */
export class PublishBatch {
  readonly #events: readonly OutboxEvent[]
  readonly #records: (EncodedRecord | null)[]
  readonly #outcomes: (Outcome | undefined)[]
  /** Per key, the index of its first event that was not acknowledged. */
  readonly #heldFrom = new Map<string, number>()

  constructor(events: readonly OutboxEvent[]) {
    this.#events = events
    this.#outcomes = new Array(events.length)
    this.#records = events.map((event, index) => this.#encode(event, index))
  }

  /** One per event. An event that was never tried is held behind another. */
  get outcomes(): Outcome[] {
    return Array.from(this.#outcomes, outcome => outcome ?? HELD)
  }

  topics(): Set<string> {
    return new Set(this.#events.map(event => event.topic))
  }

  /** Lists for the topics whose number of partitions is known; the events of the others fail with the reason. */
  byPartition(partitionsOf: ReadonlyMap<string, number | Fault>): PartitionList[] {
    const lists = new Map<string, PartitionList>()
    this.#events.forEach((event, index) => {
      const { topic, key, id } = event
      const partitions = partitionsOf.get(topic)
      if (typeof partitions !== 'number') {
        if (partitions !== undefined) this.#failOne(index, partitions)
        return
      }
      const partition =
        key === null ? partitionOfKeyless(id, partitions) : partitionOfKey(key, partitions)
      const name = `${topic} ${partition}`
      const list = lists.get(name)
      if (list) list.indices.push(index)
      else lists.set(name, { topic, partition, indices: [index] })
    })
    return [...lists.values()]
  }

  bytesOf(index: number): number {
    return this.#records[index]?.bytes ?? 0
  }

  /** @throws when the event could not be encoded, so that it is settled already */
  recordOf(index: number): KafkaRecord {
    const encoded = this.#records[index]
    if (!encoded) throw new Error('an event that could not be encoded has no record')
    return encoded.record
  }

  /** Whether it may be sent now: not settled, and no earlier event of its key in the way. */
  isOpen(index: number): boolean {
    if (this.#outcomes[index] !== undefined) return false
    if (this.#heldFrom.size === 0) return true
    const from = this.#heldFrom.get(this.#keyOf(index))
    return from === undefined || index < from
  }

  ack(index: number, partition: number, offset: bigint): void {
    this.#outcomes[index] = { kind: 'acked', partition, offset: offset.toString() }
  }

  reject(index: number, { code, message, permanent }: EventFault): void {
    this.#outcomes[index] = { kind: 'rejected', code, message, permanent }
    this.#hold(index)
  }

  /** Marks those of these events that have no outcome yet. */
  fail(indices: readonly number[], fault: Fault): void {
    for (const index of indices) if (this.isOpen(index)) this.#failOne(index, fault)
  }

  failAll(fault: Fault): void {
    this.fail([...this.#events.keys()], fault)
  }

  #failOne(index: number, fault: Fault): void {
    if (fault.of === 'event') {
      this.reject(index, fault)
      return
    }
    const { code, message, fault: whose, scope } = fault
    this.#outcomes[index] = { kind: 'unknown', code, message, fault: whose, scope }
    this.#hold(index)
  }

  #hold(index: number): void {
    if (this.#events[index]?.key === null) return
    const key = this.#keyOf(index)
    this.#heldFrom.set(key, Math.min(index, this.#heldFrom.get(key) ?? index))
  }

  #keyOf(index: number): string {
    const event = this.#events[index]
    return event?.key === null ? '' : `${event?.topic} ${event?.key}`
  }

  #encode(event: OutboxEvent, index: number): EncodedRecord | null {
    try {
      return encodeRecord(event)
    } catch (error) {
      this.reject(index, faultOfEncoding(error))
      return null
    }
  }
}

function faultOfEncoding(error: unknown): EventFault {
  const message = describeError(error).slice(0, 500)
  return error instanceof InvalidHeadersError
    ? { of: 'event', code: 'invalid_headers', message, permanent: true }
    : { of: 'event', code: 'client_error', message, permanent: false }
}
