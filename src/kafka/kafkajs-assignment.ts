import type { Consumer } from 'kafkajs'
import type { Position, TopicPartition } from '../consumer/record-source.ts'
import type { Membership } from './kafkajs-cluster.ts'
import { partitionKey } from './partition-key.ts'

/** How far one partition is read in one assignment. */
export interface Reading extends TopicPartition {
  /** Where kafkajs is to fetch next; what begins elsewhere is stale. */
  next: bigint
  /** The group's offset at the time of the join; null: it had none. */
  committed: bigint | null
  /** Commits at or below it are not sent: offsets never go back. */
  floor: bigint | null
  /** The last batch that the sink was given, until it has taken it. */
  taking: Promise<void>
  /** The sink has no room for the last batch yet. */
  full: boolean
}

/** What a member has from one join to the next. */
export class Assignment {
  readonly epoch: number
  readonly membership: Membership
  readonly readings: ReadonlyMap<string, Reading>
  /** Aborted when it ends, before the sink is told. */
  readonly ending = new AbortController()
  /** Set once the sink is told of it. */
  announced: Promise<void> | null = null
  /** Positions are known and the sink has been told; false again from its end on. */
  open = false

  constructor(epoch: number, membership: Membership, partitions: readonly TopicPartition[]) {
    this.epoch = epoch
    this.membership = membership
    this.readings = new Map(
      partitions.map(({ topic, partition }) => [
        partitionKey({ topic, partition }),
        readingFrom(topic, partition),
      ]),
    )
  }

  get partitions(): TopicPartition[] {
    return [...this.readings.values()].map(({ topic, partition }) => ({ topic, partition }))
  }

  get positions(): Position[] {
    return [...this.readings.values()].map(({ topic, partition, committed }) => ({
      topic,
      partition,
      committed,
    }))
  }

  readingOf(partition: TopicPartition): Reading | undefined {
    return this.readings.get(partitionKey(partition))
  }
}

function readingFrom(topic: string, partition: number): Reading {
  const taking = Promise.resolve()
  return { topic, partition, next: 0n, committed: null, floor: null, taking, full: false }
}

/** What a kafkajs consumer was told to pause. It keeps that over rebalances and loses it in a crash. */
export class ToldPauses {
  readonly #consumer: Consumer
  readonly #told = new Set<string>()

  constructor(consumer: Consumer) {
    this.#consumer = consumer
  }

  /** Tells the difference, by partition: told of a topic alone, kafkajs forgets which partitions it had paused. */
  reconcile(partitions: Iterable<Reading>, isPaused: (reading: Reading) => boolean): void {
    for (const reading of partitions) {
      const key = partitionKey(reading)
      const paused = isPaused(reading)
      if (paused === this.#told.has(key)) continue
      const { topic, partition } = reading
      if (paused) {
        this.#consumer.pause([{ topic, partitions: [partition] }])
        this.#told.add(key)
      } else {
        this.#consumer.resume([{ topic, partitions: [partition] }])
        this.#told.delete(key)
      }
    }
  }
}
