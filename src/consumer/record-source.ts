import type { SourceRecord } from './message.ts'

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface CommitOffset extends TopicPartition {
  /** Of the next record to be handled. */
  readonly offset: bigint
}

/**
 * PORT of the consumer: a member of a consumer group, for as long as it may live. It joins again by itself after
 * rebalances, and after crashes with a fresh client; it heartbeats whatever the sink does.
 */
export interface RecordSource {
  /**
   * Joins the group.
   * @returns once partitions were assigned (perhaps none) and positions are known
   * @throws SluiceError `broker`: not joined in time; `options`: a topic is missing
   */
  start(sink: RecordSink): Promise<void>
  /** The partitions that are not to be read, all of them; replaces what was set before, and outlives rebalances. */
  setPaused(partitions: readonly TopicPartition[]): void
  /**
   * Commits offsets. Those of partitions that are not ours any more are left out.
   * @throws SluiceError `broker`: not committed; it is safe to repeat
   */
  commit(offsets: readonly CommitOffset[]): Promise<void>
  /** Drains by `sink.revoke`, leaves the group. Ends within `timeoutMs`. Safe to call twice. */
  stop(timeoutMs: number): Promise<void>
}

/** What a source tells; its methods never throw. */
export interface RecordSink {
  /** Called after each join, with all partitions that the member has now; nothing of them was delivered before. */
  assign(partitions: readonly Position[], epoch: number): Promise<void>
  /**
   * The assignment ends. The source waits for it before it joins again, but not for ever: see `signal`.
   * `lost`: the group has already given them to others; commits would be refused.
   */
  revoke(why: 'rebalance' | 'stop' | 'lost', signal: AbortSignal): Promise<void>
  /**
   * Hands over records in offset order, without gaps but those of Kafka itself. Must return soon: while it waits for
   * room, no other partition of that broker is read.
   */
  take(batch: RecordBatch): Promise<void>
  /** It crashed and joins again, after a pause. Called after `revoke('lost')`. */
  crashed(error: unknown, restartInMs: number): void
  /** A position is outside of what the broker has: records were deleted before they were read. */
  outOfRange(partition: TopicPartition, position: bigint): void
}

export interface Position extends TopicPartition {
  /** The committed offset; null: the group has none, and begins as `from` says. */
  readonly committed: bigint | null
}

export interface RecordBatch extends TopicPartition {
  readonly epoch: number
  readonly records: readonly SourceRecord[]
  /** Behind the last offset that the batch stands for, with those of transaction markers. */
  readonly nextOffset: bigint
  /** The partition's end, as the broker told it. */
  readonly highWatermark: bigint
}
