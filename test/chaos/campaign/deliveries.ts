import { Partitioners } from 'kafkajs'
import type { FaultLog } from './fault-log.ts'
import type { Committed, Confirmed, DeadLetter, KafkaRecord, Waiting } from './history.ts'
import type { Violations } from './violations.ts'

interface Known {
  readonly event: Committed
  records: number
  firstMs: number
  /** `partition/offset` by the outbox; '' once Kafka's record was found there, null without a confirm. */
  confirmedAt: string | null
  dead: boolean
  waiting: boolean
}

/** A clock is read by the database, another call later by the replica. */
const CLOCK_SLACK_MS = 20

/** Compares what committed with what became of it. Holds one entry per event. */
export class Deliveries {
  readonly #violations: Violations
  readonly #known = new Map<string, Known>()
  /** Per (topic, key) with an order: the highest position delivered so far. */
  readonly #reached = new Map<string, number>()
  readonly #partitionOf = new Map<string, number>()
  readonly #choose = Partitioners.DefaultPartitioner()
  published = 0
  deadLetters = 0
  duplicates = 0
  excused = 0

  constructor(violations: Violations) {
    this.#violations = violations
  }

  get committed(): number {
    return this.#known.size
  }

  commit(event: Committed): void {
    const { eventId } = event
    if (this.#known.has(eventId)) this.#violations.add('incomplete', `committed twice: ${eventId}`)
    this.#known.set(eventId, {
      event,
      records: 0,
      firstMs: 0,
      confirmedAt: null,
      dead: false,
      waiting: false,
    })
  }

  confirm({ eventId, partition, offset, attempts }: Confirmed): void {
    const known = this.#known.get(eventId)
    if (!known) {
      this.#violations.add('phantom', `outbox.published has ${eventId}, which never committed`)
      return
    }
    if (known.confirmedAt !== null) this.#violations.add('false_confirm', `twice: ${eventId}`)
    known.confirmedAt = `${partition}/${offset}`
    if (attempts > 0 && !known.event.mayFail) {
      this.#violations.add('attempt_spent', `${attempts} of ${eventId}, which was published`)
    }
  }

  bury({ eventId, reason, attempts }: DeadLetter): void {
    const known = this.#known.get(eventId)
    if (!known) {
      this.#violations.add('phantom', `dead letter ${eventId} never committed`)
      return
    }
    const { fate, reason: expected } = known.event
    known.dead = true
    this.deadLetters++
    if (fate === 'published' || reason !== expected) {
      const example = `${eventId}: ${reason} after ${attempts} attempts, expected ${expected ?? 'none'}`
      this.#violations.add('wrong_dead_letter', example)
    }
  }

  wait({ eventId, attempts, lastError }: Waiting): void {
    const known = this.#known.get(eventId)
    if (known) known.waiting = true
    if (known?.event.excused) return
    this.#violations.add('stuck', `${eventId} in ${known?.event.topic}: ${lastError ?? 'no error'}`)
    if (attempts > 0 && !known?.event.mayFail) {
      this.#violations.add('attempt_spent', `${attempts} of ${eventId}, which waits`)
    }
  }

  /** @param settleMs how long after its end a fault may still cause a duplicate */
  deliver(record: KafkaRecord, partitions: number, faults: FaultLog, settleMs: number): void {
    const { eventId, topic, partition, offset, timestampMs } = record
    const place = `${topic}/${partition}/${offset}`
    const known = eventId === null ? undefined : this.#known.get(eventId)
    if (!known) {
      this.#violations.add('phantom', `${place}: event ${eventId} never committed`)
      return
    }
    const { event } = known
    this.#compare(record, event, place)
    this.#judgePartition(record, partitions, place)
    if (known.confirmedAt === `${partition}/${offset}`) known.confirmedAt = ''
    if (event.notBeforeMs !== null && timestampMs < event.notBeforeMs - CLOCK_SLACK_MS) {
      const earlyMs = Math.round(event.notBeforeMs - timestampMs)
      this.#violations.add('early', `${place}: ${earlyMs} ms before its time`)
    }
    if (known.records++ === 0) {
      known.firstMs = timestampMs
      this.published++
      this.#judgeOrder(event, place)
    } else this.#judgeDuplicate(known, record, place, faults, settleMs)
  }

  /** Once everything was told. */
  end(retention: boolean): void {
    for (const known of this.#known.values()) this.#judgeFate(known, retention)
  }

  #judgeFate(known: Known, retention: boolean): void {
    const { event, records, dead, waiting, confirmedAt } = known
    const name = `${event.eventId} of ${event.topic}`
    if (event.excused) {
      this.excused++
      if (retention && confirmedAt === null && !waiting && !dead) {
        this.#violations.add('lost', `${name}: neither confirmed nor waiting nor dead`)
      }
      return
    }
    if (records === 0 && !dead && !waiting)
      this.#violations.add('lost', `${name}, seq ${event.seq}`)
    if (records > 0 && event.fate === 'dead') {
      this.#violations.add('published_and_dead', `${name} was to end as ${event.reason}`)
    }
    if (confirmedAt) {
      this.#violations.add('false_confirm', `${name}: Kafka does not have it at ${confirmedAt}`)
    }
    if (retention && records > 0 && confirmedAt === null && !waiting && !dead) {
      this.#violations.add('false_confirm', `${name}: left the outbox without a trace`)
    }
  }

  #compare(record: KafkaRecord, event: Committed, place: string): void {
    const differs = (['topic', 'key', 'id', 'content'] as const).filter(
      field => record[field] !== event[field],
    )
    if (differs.length > 0) this.#violations.add('mutated', `${place}: ${differs.join(', ')}`)
  }

  #judgePartition(record: KafkaRecord, partitions: number, place: string): void {
    if (record.key === null) return
    const expected = this.#partition(record.topic, record.key, partitions)
    if (record.partition !== expected) {
      this.#violations.add('wrong_partition', `${place}: its key belongs to ${expected}`)
    }
  }

  /** Only first deliveries have an order: a consumer that dedupes by event id handles those. */
  #judgeOrder({ topic, key, seq, eventId }: Committed, place: string): void {
    if (seq === null) return
    const name = `${topic}\n${key}`
    const reached = this.#reached.get(name) ?? 0
    if (seq < reached) {
      const example = `${place}: ${eventId}, position ${seq} of key ${JSON.stringify(key)}, comes after ${reached}`
      this.#violations.add('out_of_order', example)
    } else this.#reached.set(name, seq)
  }

  #judgeDuplicate(
    { event, firstMs }: Known,
    { timestampMs }: KafkaRecord,
    place: string,
    faults: FaultLog,
    settleMs: number,
  ): void {
    this.duplicates++
    if (event.excused) return
    // Partitions are read in order, but a request that was held up may be older than what it comes after.
    const [fromMs, toMs] = [Math.min(firstMs, timestampMs), Math.max(firstMs, timestampMs)]
    const cause = faults.causeOf(fromMs, toMs, settleMs)
    if (cause) cause.duplicates++
    else {
      const example = `${place}: ${event.eventId} at ${new Date(toMs).toISOString()}, ${Math.round(toMs - fromMs)} ms after the first`
      this.#violations.add('duplicate_without_fault', example)
    }
  }

  /** By kafkajs's own partitioner, which knows nothing of ours. */
  #partition(topic: string, key: string, partitions: number): number {
    const name = `${topic}\n${key}`
    const known = this.#partitionOf.get(name)
    if (known !== undefined) return known
    const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => {
      return { partitionId, leader: 1, partitionErrorCode: 0, replicas: [], isr: [] }
    })
    const message = { key: Buffer.from(key), value: null }
    const partition = this.#choose({ topic, partitionMetadata, message })
    this.#partitionOf.set(name, partition)
    return partition
  }
}
