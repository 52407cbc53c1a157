/** What the engine keeps to by itself; tests make it smaller. */
export interface EngineLimits {
  /** Records of a partition that wait in memory, at most; a batch more, because a batch is never cut. */
  readonly queueRecordsMax: number
  /** Their bytes, and those of all partitions together. */
  readonly queueBytesMax: number
  readonly queuesBytesMax: number
  /** How long a batch may wait for room in its partition's queue; meanwhile its broker's others may not be read. */
  readonly roomMs: number
  readonly commitEveryMs: number
  readonly commitEveryRecords: number
  /** How long a waiting room that is full is left alone before it is looked at again. */
  readonly roomLookMs: number
  /** How long handlers that were aborted may take to leave. */
  readonly abandonMs: number
  /** How long the store, and the user's rebalance listener, may take while partitions change hands. */
  readonly farewellMs: number
  readonly listenerMs: number
}

/**
 * A queue lasts longer than kafkajs may take to go on after a pause (half a second) even at 8,000 records a second.
 */
export const DEFAULT_LIMITS: EngineLimits = {
  queueRecordsMax: 10_000,
  queueBytesMax: 16 * 2 ** 20,
  queuesBytesMax: 128 * 2 ** 20,
  roomMs: 200,
  commitEveryMs: 500,
  commitEveryRecords: 1_000,
  roomLookMs: 1_000,
  abandonMs: 1_000,
  farewellMs: 2_000,
  listenerMs: 30_000,
}
