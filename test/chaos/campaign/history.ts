/**
 * The history of a campaign: one JSON line per happening, in the order in which they were told. It is all that the
 * checker gets to see, so that a run can be judged again, later and elsewhere.
 *
 * Order: `campaign` first, then what happened; after `quiet` every `committed`, `confirmed`, `dead`, `waiting` and
 * `lane_left`, and after those every `record`, the records of a partition in offset order.
 */

import { once } from 'node:events'
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs'
import { createInterface } from 'node:readline'

/** Times are milliseconds since 1970 by this machine's clock, which the brokers and the database share. */
interface At {
  readonly atMs: number
}

/** How slow is too slow, in milliseconds. */
export interface Limits {
  /** A killed replica's lanes must be others' after its lease and this. */
  readonly takeoverBeyondLeaseMs: number
  /** From the end of an outage to the first record. */
  readonly recoveryMs: number
  /** From SIGTERM to the exit. */
  readonly stopMs: number
}

export interface CampaignBegan extends At {
  readonly kind: 'campaign'
  readonly seed: number
  readonly commit: string
  readonly minutes: number
  readonly brokers: number
  readonly replicas: number
  readonly leaseMs: number
  /** Published events are kept, so that every confirm can be compared with Kafka. */
  readonly retention: boolean
  readonly partitions: Readonly<Record<string, number>>
  readonly limits: Limits
}

export interface FaultStarted extends At {
  readonly kind: 'fault_started'
  readonly id: number
  readonly fault: string
  /** What it hits: a replica's name, a broker, a topic. */
  readonly target: string
}

export interface FaultHealed extends At {
  readonly kind: 'fault_healed'
  readonly id: number
  readonly fault: string
}

export interface ReplicaReady extends At {
  readonly kind: 'replica_ready'
  readonly replica: string
  readonly pid: number
  readonly startMs: number
}

export interface ReplicaExited extends At {
  readonly kind: 'replica_exited'
  readonly replica: string
  /** The signal that we sent, or null when it ended unasked. */
  readonly asked: string | null
  readonly askedAtMs: number | null
  /** The exit code, or the signal that ended it. */
  readonly how: number | string
}

export interface Second extends At {
  readonly kind: 'second'
  /** Counted up to ten thousand; null when the database did not answer. */
  readonly waiting: number | null
  readonly committed: number
  readonly rolledBack: number
  readonly writeErrors: number
  /** Resident bytes by replica. */
  readonly rssBytes: Readonly<Record<string, number>>
}

/** Told when an owner has changed. */
export interface LaneOwners extends At {
  readonly kind: 'lane_owners'
  /** Number of lanes by owner. */
  readonly owners: Readonly<Record<string, number>>
  /** What has changed: lane, owner, epoch in decimal. */
  readonly changed: readonly (readonly [number, string | null, string])[]
}

/** Writers and faults have ended, and the outbox has been given its time to drain. */
export interface Quiet extends At {
  readonly kind: 'quiet'
  readonly drained: boolean
  readonly drainMs: number
}

export interface Committed {
  readonly kind: 'committed'
  readonly eventId: string
  /** The outbox id in decimal. */
  readonly id: string
  readonly topic: string
  readonly key: string | null
  /** Position among the committed events of its (topic, key); null when no order is owed. */
  readonly seq: number | null
  readonly content: string
  readonly notBeforeMs: number | null
  /** What must become of it: in Kafka, a dead letter, or either. */
  readonly fate: 'published' | 'dead' | 'either'
  /** The one reason that its dead letter may have. */
  readonly reason: string | null
  /** Its topic was deleted: records of it are gone with it. */
  readonly excused: boolean
  /** Its topic refuses records at times, so attempts may be spent. */
  readonly mayFail: boolean
}

/** A row of `outbox.published`. */
export interface Confirmed {
  readonly kind: 'confirmed'
  readonly eventId: string
  readonly partition: number
  readonly offset: string
  readonly attempts: number
}

export interface DeadLetter {
  readonly kind: 'dead'
  readonly eventId: string
  readonly reason: string
  readonly attempts: number
}

/** A row that is still in `outbox.events`. */
export interface Waiting {
  readonly kind: 'waiting'
  readonly eventId: string
  readonly attempts: number
  readonly lastError: string | null
}

/** A lane that still had an owner when every replica had ended. */
export interface LaneLeft {
  readonly kind: 'lane_left'
  readonly lane: number
  readonly owner: string
}

export interface KafkaRecord {
  readonly kind: 'record'
  readonly topic: string
  readonly partition: number
  readonly offset: string
  readonly key: string | null
  /** null: no such header. */
  readonly eventId: string | null
  readonly id: string | null
  readonly content: string
  /** When the replica built the record. */
  readonly timestampMs: number
}

/** Something that a reader of the history may want to know. */
export interface Note extends At {
  readonly kind: 'note'
  readonly text: string
}

export type Happening =
  | CampaignBegan
  | FaultStarted
  | FaultHealed
  | ReplicaReady
  | ReplicaExited
  | Second
  | LaneOwners
  | Quiet
  | Committed
  | Confirmed
  | DeadLetter
  | Waiting
  | LaneLeft
  | KafkaRecord
  | Note

/** Appends to a history file. The owner must `close` it. */
export class HistoryFile {
  readonly #stream: WriteStream

  constructor(file: string) {
    this.#stream = createWriteStream(file)
  }

  tell(happening: Happening): void {
    this.#stream.write(`${JSON.stringify(happening)}\n`)
  }

  /** `tell` for many: waits while the disk is behind. */
  async tellAll(happenings: Iterable<Happening> | AsyncIterable<Happening>): Promise<void> {
    for await (const happening of happenings) {
      if (!this.#stream.write(`${JSON.stringify(happening)}\n`)) await once(this.#stream, 'drain')
    }
  }

  async close(): Promise<void> {
    await new Promise<void>((settle, reject) => {
      this.#stream.once('error', reject)
      this.#stream.end(() => settle())
    })
  }
}

/** The happenings of a file, one at a time. */
export async function* readHistory(file: string): AsyncGenerator<Happening> {
  const lines = createInterface({
    input: createReadStream(file),
    crlfDelay: Number.POSITIVE_INFINITY,
  })
  for await (const line of lines) if (line !== '') yield JSON.parse(line) as Happening
}
