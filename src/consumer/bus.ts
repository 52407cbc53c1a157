import type { Log } from '../telemetry/log.ts'
import type { Codec, Envelope } from './codec.ts'
import type { Message } from './message.ts'
import type { Outcome } from './outcome.ts'
import type { TopicPartition } from './record-source.ts'
import type { Tx } from './tx.ts'

/** Publishing and subscribing, the same in memory and on Kafka. */
export interface Bus extends AsyncDisposable {
  /**
   * Joins the group, then calls the handler with each message.
   * @returns once the group has been joined
   * @throws SluiceError `options`: a bad option, or a missing topic; `broker`: the group could not be joined in time;
   *   `schema`: the database lacks `waiting_room`
   */
  subscribe<T>(options: SubscribeOptions<T>, handler: Handler<T>): Promise<Subscription>
  /** As `subscribe`, with many messages in one transaction. One that fails has the others handled one by one. */
  subscribeBatch<T>(
    options: SubscribeOptions<T> & BatchOptions,
    handler: BatchHandler<T>,
  ): Promise<Subscription>
  /** Publishes at the transaction's commit, through the outbox. */
  publish(event: DomainEvent, tx: Tx): Promise<void>
  /**
   * Publishes the events that wait on the aggregate, in their order, and takes them off it.
   * @returns how many
   */
  publishForAggregate(aggregate: AggregateRoot, tx: Tx): Promise<number>
  /**
   * Stops every subscription, also those that are joining, and closes the connections. Safe to call twice.
   * @param options.timeoutMs for what is in work. Default 30,000
   */
  close(options?: { timeoutMs?: number }): Promise<void>
}

/** Void counts as `done`. What it throws is classified. */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler that returns nothing is the usual one
export type Handler<T> = (message: Message<T>, context: Context) => Promise<Outcome | void>

/** Handles all or throws; messages are in offset order, of one partition. */
export type BatchHandler<T> = (
  messages: readonly Message<T>[],
  context: BatchContext,
) => Promise<void>

export interface BatchContext {
  /** The transaction in which the inbox has the messages; it is committed after the handler, by the kit. */
  readonly sql: Tx
  /** Aborted when the partition is given up, the subscription stops, or the handler's time is over. */
  readonly signal: AbortSignal
  readonly log: Log
  /** Writes the event to the outbox, in the same transaction. */
  publish(event: DomainEvent): Promise<void>
  /**
   * Calls a dependency through its circuit breaker.
   * @throws DependencyDown at once while the breaker is open, and when `work` fails
   */
  call<T>(dependency: string, work: (signal: AbortSignal) => Promise<T>): Promise<T>
}

export interface Context extends BatchContext {
  /** Counts from 1; attempts lost to a dependency that was down do not count. */
  readonly attempt: number
  /** Answers the message's `reply_to` topic through the outbox, with its correlation id. */
  reply(value: unknown): Promise<void>
}

export interface SubscribeOptions<T = unknown> {
  /** Kafka's consumer group, and whose inbox and waiting room it is. */
  readonly group: string
  readonly topics: readonly string[]
  readonly codec: Codec<T>
  /** Default: headers `event_id` and `event_type`. */
  readonly envelope?: Envelope
  /** What is handled one after the other: records of a key (default), of a partition, or nothing. */
  readonly order?: 'key' | 'partition' | 'none'
  /** Messages handled at once, over all partitions. Default 8. */
  readonly concurrency?: number
  /** `inbox` (default): effects in PostgreSQL happen once. `none`: handled at least once, and nothing is remembered. */
  readonly dedup?: 'inbox' | 'none'
  /** Pause before the nth retry: random up to baseMs · 2^(n−1), at most maxMs. Default 1,000 and 300,000. */
  readonly retry?: { readonly baseMs: number; readonly maxMs: number }
  /** Failures after which a message becomes a dead letter. Default 10. */
  readonly attemptsMax?: number
  /** A message older than this is dropped as expired. Default: none is. */
  readonly ttlMs?: number
  /** How long a handler may take; past it its transaction is rolled back and an attempt is spent. Default 60,000. */
  readonly handlerTimeoutMs?: number
  /** Turns what a handler threw into an outcome; undefined: as by default. */
  readonly classify?: (error: unknown) => Outcome | undefined
  /** Dependencies without which no message is handled. */
  readonly needs?: readonly string[]
  /** A dead letter's row and topic, or a log line and nothing more. Default `deadLetter`. */
  readonly onBad?: 'deadLetter' | 'log'
  /** Dead letters are published there too; null (default): nowhere. */
  readonly deadLetterTopic?: string | null
  /** Default `fail`. `create`: with the broker's defaults for partitions and replicas. */
  readonly missingTopic?: 'fail' | 'create'
  /** Where a group without offsets begins. Default `earliest`. */
  readonly from?: 'earliest' | 'latest'
  /**
   * How a retry comes back: from the waiting room (default), or published to `<topic>.<group>.retry`, which gives up
   * order and is allowed with `order: 'none'` only.
   */
  readonly redeliver?: 'inPlace' | 'reproduce'
  /** Unfinished records of one waiting key, and of the group, beyond which partitions pause. 10,000 and 1,000,000. */
  readonly limits?: { readonly perKey: number; readonly perGroup: number }
  /** How long the inbox remembers ids. Default: the topics' retention and a day; for ever where that is unlimited. */
  readonly inboxRetentionMs?: number
  readonly listener?: RebalanceListener
  /** How long to wait for the group. Default 60,000. */
  readonly joinTimeoutMs?: number
}

export interface BatchOptions {
  /** Messages in one transaction, at most. Default 500. */
  readonly batchSize?: number
}

export interface RebalanceListener {
  /** Called after each join, before messages of those partitions are handled. `epoch` grows with each join. */
  assigned?(partitions: readonly TopicPartition[], epoch: number): Promise<void> | void
  /** Called once nothing of those partitions is in work any more and their offsets are committed (not for `lost`). */
  revoked?(
    partitions: readonly TopicPartition[],
    why: 'rebalance' | 'stop' | 'lost',
  ): Promise<void> | void
}

export type SubscriptionState = 'joining' | 'running' | 'paused' | 'crashed' | 'stopped'

/** What is held; `{}` is all that the group has. */
export interface HoldTarget {
  readonly topic?: string
  readonly partition?: number
  /** With `topic`: one waiting key. */
  readonly key?: string | null
}

export interface Subscription extends AsyncDisposable {
  readonly group: string
  readonly state: SubscriptionState
  /** Rejects when the subscription has ended by itself for good; resolves once stopped. */
  readonly completed: Promise<void>
  /** Stops handling until the time, or until resumed; kept in the database, for all members of the group. */
  pause(target: HoldTarget, options: { reason: string; until?: Date }): Promise<void>
  resume(target: HoldTarget): Promise<void>
  /** Handles again what lies in Kafka, through the waiting room and under new ids. With `dryRun`, only counts. */
  replay(query: ReplayQuery): Promise<ReplayReport>
  stop(options?: { timeoutMs?: number }): Promise<void>
}

export interface ReplayQuery {
  readonly topic: string
  readonly partition?: number
  /** The first offset or the first time; exactly one of them. */
  readonly fromOffset?: bigint
  readonly fromTime?: Date
  /** Behind the last; default: what is there now. */
  readonly toOffset?: bigint
  readonly toTime?: Date
  readonly key?: string
  readonly dryRun: boolean
  /** Default 1,000. */
  readonly ratePerSecond?: number
}

export interface ReplayReport {
  /** Records that the query meets. */
  readonly matched: number
  /** Of them, those that were put into the waiting room; 0 for a dry run. */
  readonly enqueued: number
}

export interface DomainEvent {
  messageKey(): string | null
  messageData(): unknown
  topicName(): string
  /** Default: the name of the event's class. */
  eventType?(): string
  /** Default: none. */
  messageHeaders?(): Readonly<Record<string, string>>
}

/** What collects events until they are published. */
export interface AggregateRoot {
  readonly domainEvents: readonly DomainEvent[]
  clearEvents(): void
}
