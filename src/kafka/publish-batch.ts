import { describeError } from '../errors.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import { PARTITION_HEADER } from '../outbox/partition-header.ts'
import type { Outcome, Unknown } from '../relay/producer.ts'
import type { EventFault, Fault } from './fault.ts'
import { partitionOfKey, partitionOfKeyless } from './partitioner.ts'
import {
  type EncodedRecord,
  encodeRecord,
  InvalidHeadersError,
  InvalidPartitionError,
  type KafkaRecord,
} from './record.ts'

/** Indices of a batch's events that go to one partition, in the batch's order. */
export interface PartitionList {
  readonly topic: string
  readonly partition: number
  /** Lists of a round may be published side by side, those of the next one after it. */
  readonly round: number
  readonly indices: number[]
}

/** Where the latest event of a key goes. */
interface Turn {
  readonly partition: number
  readonly round: number
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
  #namesPartitions = false

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

  /** How many partitions topics must have for the events that name theirs; none of those topics where none does. */
  partitionsNamed(): ReadonlyMap<string, number> {
    const least = new Map<string, number>()
    if (!this.#namesPartitions) return least
    this.#events.forEach(({ topic }, index) => {
      const partition = this.#records[index]?.partition ?? null
      if (partition !== null) least.set(topic, Math.max(partition + 1, least.get(topic) ?? 0))
    })
    return least
  }

  /**
   * Lists for the topics whose number of partitions is known; the events of the others fail with the reason. They
   * come in rounds, because a key's events may name several partitions, and keep their order all the same.
   */
  byPartition(partitionsOf: ReadonlyMap<string, number | Fault>): PartitionList[] {
    const lists = new Map<string, PartitionList>()
    const turns = this.#namesPartitions ? new Map<string, Turn>() : null
    this.#events.forEach((event, index) => {
      const { topic } = event
      const partitions = partitionsOf.get(topic)
      if (typeof partitions !== 'number') {
        if (partitions !== undefined) this.#failOne(index, partitions)
        return
      }
      const partition = this.#partitionOf(index, event, partitions)
      if (partition === null) return
      const round = turns === null ? 0 : this.#roundOf(index, partition, turns)
      const name = round === 0 ? `${topic} ${partition}` : `${topic} ${partition} ${round}`
      const list = lists.get(name)
      if (list) list.indices.push(index)
      else lists.set(name, { topic, partition, round, indices: [index] })
    })
    return [...lists.values()].sort((a, b) => a.round - b.round)
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

  /** @returns null: it names one that the topic does not have, and is rejected */
  #partitionOf(index: number, event: OutboxEvent, partitions: number): number | null {
    const { key, id } = event
    const named = this.#records[index]?.partition ?? null
    if (named === null) {
      return key === null ? partitionOfKeyless(id, partitions) : partitionOfKey(key, partitions)
    }
    if (named < partitions) return named
    if (this.isOpen(index)) this.reject(index, missingPartition(named, partitions))
    return null
  }

  #roundOf(index: number, partition: number, turns: Map<string, Turn>): number {
    if (this.#events[index]?.key === null || !this.isOpen(index)) return 0
    const key = this.#keyOf(index)
    const before = turns.get(key)
    if (before?.partition === partition) return before.round
    const round = before === undefined ? 0 : before.round + 1
    turns.set(key, { partition, round })
    return round
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
      const encoded = encodeRecord(event)
      if (encoded.partition !== null) this.#namesPartitions = true
      return encoded
    } catch (error) {
      this.reject(index, faultOfEncoding(error))
      return null
    }
  }
}

function faultOfEncoding(error: unknown): EventFault {
  const message = describeError(error).slice(0, 500)
  if (error instanceof InvalidHeadersError) {
    return { of: 'event', code: 'invalid_headers', message, permanent: true }
  }
  if (error instanceof InvalidPartitionError) return invalidPartition(message)
  return { of: 'event', code: 'client_error', message, permanent: false }
}

function missingPartition(named: number, partitions: number): EventFault {
  const highest = `the topic's highest is ${partitions - 1}`
  return invalidPartition(`header ${PARTITION_HEADER} names partition ${named}, ${highest}`)
}

function invalidPartition(message: string): EventFault {
  return { of: 'event', code: 'invalid_partition', message, permanent: true }
}
