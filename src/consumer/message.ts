/** A record as it lies in Kafka, untouched. */
export interface SourceRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly key: Buffer | null
  /** Null: a tombstone. */
  readonly value: Buffer | null
  /** In the record's order; a name may come again. */
  readonly headers: readonly RecordHeader[]
  /** Milliseconds since 1970, as the producer or the broker gave it. */
  readonly timestampMs: number
}

export interface RecordHeader {
  readonly name: string
  readonly value: Buffer | null
}

/** What a handler gets: a record with its id and type read and its value decoded. */
export interface Message<T = unknown> {
  /** What the inbox remembers: header `event_id`, unless the subscription's envelope says otherwise. */
  readonly id: string
  /** Header `event_type`, unless the subscription's envelope says otherwise. */
  readonly type: string
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  /** As UTF-8. */
  readonly key: string | null
  /** The record's timestamp. */
  readonly at: Date
  /** As UTF-8; of a name that comes twice, the last. */
  readonly headers: Readonly<Record<string, string>>
  readonly value: T
}

/** Headers with a meaning for the kit; all values are text. */
export const HEADERS = {
  eventId: 'event_id',
  eventType: 'event_type',
  /** ISO 8601 time before which the record is not handled. */
  delayUntil: 'twr-delay-until',
  /** ISO 8601 time after which it is not handled any more. */
  expiresAt: 'twr-expires-at',
  /** `false`: it waits for no earlier record of its key, and none waits for it. */
  ordered: 'twr-ordered',
  /** How often it has been handled, on its way through a retry topic. */
  attempt: 'twr-attempt',
  /** The id of the record that this one repeats. */
  replayOf: 'twr-replay-of',
  /** Only this consumer group handles it. */
  replayGroup: 'twr-replay-group',
  /** `topic/partition/offset` where a dead letter or a repeated record lay. */
  origin: 'twr-origin',
  error: 'twr-error',
  correlationId: 'correlation_id',
  replyTo: 'reply_to',
  replyPartition: 'reply_partition',
} as const

/** A header's text, the last of its name; undefined when there is none, or it has no value. */
export function headerText(record: SourceRecord, name: string): string | undefined {
  const found = record.headers.findLast(header => header.name === name)
  return found?.value?.toString('utf8')
}

/** `topic/partition/offset`: names a record that has no id of its own. */
export function placeOf({ topic, partition, offset }: SourceRecord): string {
  return `${topic}/${partition}/${offset}`
}
