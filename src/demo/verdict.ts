/** An event whose transaction committed, as the ledger has it. */
export interface CommittedEvent {
  readonly eventId: string
  readonly topic: string
  readonly key: string | null
  /** Position among the committed events of its (topic, key); ascending in commit order. */
  readonly seqInKey: number
  /** See `fingerprintOf`. */
  readonly fingerprint: string
}

/** A record as Kafka has it. */
export interface DeliveredRecord {
  /** null: the record carries no `event_id` header. */
  readonly eventId: string | null
  readonly topic: string
  readonly partition: number
  readonly key: string | null
  readonly fingerprint: string
}

export interface Verdict {
  /** Events whose transaction committed. */
  readonly committed: number
  /** Committed events that are in Kafka, each counted once. */
  readonly published: number
  /** Committed events that are not in Kafka. */
  readonly lost: number
  /** Further records of an event that is already there. */
  readonly duplicates: number
  /** Records of events that never committed. */
  readonly phantom: number
  /** Events first delivered after a later event of their key, and records on another partition than their key's. */
  readonly outOfOrder: number
  /** Records whose topic, key, type, headers or value differ from what was committed. */
  readonly mutated: number
}

/** What has been seen of one (topic, key) on one partition. */
interface PartitionProgress {
  readonly partition: number
  records: number
  latestSeq: number
}

/** A key has one partition, unless something is wrong. */
interface KeyProgress {
  readonly ordered: boolean
  readonly partitions: PartitionProgress[]
}

interface Expected {
  readonly event: CommittedEvent
  readonly progress: KeyProgress
  delivered: boolean
}

/**
 * Compares what committed with what Kafka has, one event at a time: first every committed event, then every
 * record, those of a partition in offset order (partitions may interleave). Holds about 400 bytes per event.
 *
 * A duplicate breaks no order: only the first delivery of each event is judged, because a consumer that dedupes
 * by event id handles that one.
 */
export class Judge {
  readonly #expected = new Map<string, Expected>()
  readonly #keys = new Map<string, KeyProgress>()
  #published = 0
  #duplicates = 0
  #phantom = 0
  #overtaken = 0
  #mutated = 0

  commit(event: CommittedEvent): void {
    this.#expected.set(event.eventId, {
      event,
      progress: this.#progressOf(event.topic, event.key),
      delivered: false,
    })
  }

  /** @returns false when the record is a phantom */
  deliver(record: DeliveredRecord): boolean {
    const expected = record.eventId === null ? undefined : this.#expected.get(record.eventId)
    if (!expected) {
      this.#phantom += 1
      return false
    }
    const { event } = expected
    const same =
      record.topic === event.topic &&
      record.key === event.key &&
      record.fingerprint === event.fingerprint
    if (!same) this.#mutated += 1
    const progress = partitionOf(expected.progress, record.partition)
    progress.records += 1
    if (expected.delivered) {
      this.#duplicates += 1
      return true
    }
    expected.delivered = true
    this.#published += 1
    if (expected.progress.ordered && event.seqInKey < progress.latestSeq) this.#overtaken += 1
    progress.latestSeq = Math.max(progress.latestSeq, event.seqInKey)
    return true
  }

  verdict(): Verdict {
    const committed = this.#expected.size
    return {
      committed,
      published: this.#published,
      lost: committed - this.#published,
      duplicates: this.#duplicates,
      phantom: this.#phantom,
      outOfOrder: this.#overtaken + this.#misplaced(),
      mutated: this.#mutated,
    }
  }

  /**
   * Records beside the partition that has most of their key. Counted at the end, because partitions are read in any
   * order and none of them can be called the first.
   */
  #misplaced(): number {
    let misplaced = 0
    for (const { ordered, partitions } of this.#keys.values()) {
      if (!ordered || partitions.length < 2) continue
      const counts = partitions.map(({ records }) => records)
      misplaced += counts.reduce((sum, count) => sum + count, 0) - Math.max(...counts)
    }
    return misplaced
  }

  #progressOf(topic: string, key: string | null): KeyProgress {
    const name = key === null ? topic : `${topic}\n${key}` // a topic's name has no line break
    let progress = this.#keys.get(name)
    if (!progress) {
      progress = { ordered: key !== null, partitions: [] }
      this.#keys.set(name, progress)
    }
    return progress
  }
}

function partitionOf({ partitions }: KeyProgress, partition: number): PartitionProgress {
  let progress = partitions.find(candidate => candidate.partition === partition)
  if (!progress) {
    progress = { partition, records: 0, latestSeq: Number.NEGATIVE_INFINITY }
    partitions.push(progress)
  }
  return progress
}

/** `Judge` in one call. Records of a partition must stand in offset order. */
export function judge(
  committed: Iterable<CommittedEvent>,
  records: Iterable<DeliveredRecord>,
): Verdict {
  const court = new Judge()
  for (const event of committed) court.commit(event)
  for (const record of records) court.deliver(record)
  return court.verdict()
}

/** Nothing lost, nothing that did not commit, nothing altered, every key in order. Duplicates are allowed. */
export function passes(verdict: Verdict): boolean {
  return verdict.lost + verdict.phantom + verdict.outOfOrder + verdict.mutated === 0
}
