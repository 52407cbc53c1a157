import { OffsetCommits } from '../consumer/offset-commits.ts'
import type {
  Position,
  RecordBatch,
  RecordSink,
  TopicPartition,
} from '../consumer/record-source.ts'
import { describeError, SluiceError } from '../errors.ts'
import { Condition } from '../internal/condition.ts'
import { endsWithin } from '../internal/ends-within.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { KafkajsSource } from '../kafka/kafkajs-source.ts'
import { partitionKey } from '../kafka/partition-key.ts'
import type { Log } from '../telemetry/log.ts'
import { BadFrames } from './bad-frames.ts'
import type { config } from './config.ts'
import { FrameQueue, type QueuedFrame } from './frame-queue.ts'
import { type FrameKeeper, FrameStream } from './frame-stream.ts'
import { PartitionReading } from './partition-reading.ts'
import { prepareTopics } from './topic-creation.ts'

const COMMIT_EVERY_MS = 250
const COMMIT_EVERY_RECORDS = 1_000

/** What objects around a frame's bytes take, about. */
const FRAME_OVERHEAD_BYTES = 300

/** A partition after a join. */
export interface AssignedPartition extends TopicPartition {
  /** Reading goes on where it was left: nobody else has read of it in between. */
  readonly resumed: boolean
}

/** Told of the group's joins, in their order. Must not throw and must return at once. */
export interface AssignmentListener {
  /** All partitions that are read from now on. */
  assigned(partitions: readonly AssignedPartition[]): void
  /** None is read until the next `assigned`. `lost`: the group may have given them to others already. */
  revoked(why: 'rebalance' | 'stop' | 'lost'): void
}

export interface FrameSourceParts {
  readonly settings: config
  readonly topic: string
  readonly group: string
  /** Where a group begins that has never read. */
  readonly from: 'earliest' | 'latest'
  readonly log: Log
  readonly listener?: AssignmentListener
}

/**
 * A member of a consumer group that makes records frames: reads into a bounded queue, gives out from it, and commits
 * what was handled, so that a frame is given out at least once.
 */
export class FrameSource implements RecordSink, FrameKeeper {
  readonly frames: FrameStream
  readonly #parts: FrameSourceParts
  readonly #queue: FrameQueue
  readonly #bad: BadFrames
  readonly #stopping = new AbortController()
  readonly #idle = new Condition()
  #readings = new Map<string, PartitionReading>()
  /** How far the last assignment was handled, by partition. */
  #left = new Map<string, bigint | null>()
  #source: KafkajsSource | null = null
  #commits: OffsetCommits | null = null
  #connecting: Promise<void> | null = null
  #closing: Promise<void> | null = null
  #assigned = false
  #received = 0
  #crashes = 0
  #skips = 0

  constructor(parts: FrameSourceParts) {
    const { frames_max, frames_bytes_max: bytes_max } = parts.settings
    this.#parts = parts
    this.#bad = new BadFrames(parts.log)
    this.#queue = new FrameQueue({ frames_max, bytes_max })
    this.frames = new FrameStream(this.#queue, this)
  }

  /** Joined, and not between two joins. */
  get connected(): boolean {
    return this.#assigned && this.#closing === null
  }

  get received(): number {
    return this.#received
  }

  /** Records that were no frames. */
  get bad_frames(): number {
    return this.#bad.count
  }

  get crashes(): number {
    return this.#crashes
  }

  /** Times that records were deleted before they were read. */
  get skips(): number {
    return this.#skips
  }

  /**
   * Resolves once the group is joined and positions are known; after a failure it may be called again.
   * @throws SluiceError `options`, `broker` or `lifecycle`
   */
  connect(): Promise<void> {
    if (this.#closing) {
      return Promise.reject(new SluiceError('lifecycle', 'the subscriber is closed'))
    }
    this.#connecting ??= this.#connect().catch(error => {
      this.#connecting = null
      throw error
    })
    return this.#connecting
  }

  /** Drains, commits and leaves the group; ends within about drain_timeout_ms. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async assign(partitions: readonly Position[]): Promise<void> {
    const { listener } = this.#parts
    this.#readings = new Map(
      partitions.map(each => [partitionKey(each), new PartitionReading(each)]),
    )
    this.#assigned = true
    listener?.assigned(partitions.map(each => ({ ...placeOf(each), resumed: this.#resumes(each) })))
  }

  async revoke(why: 'rebalance' | 'stop' | 'lost', signal: AbortSignal): Promise<void> {
    const ending = [...this.#readings.values()]
    this.#assigned = false
    for (const reading of ending) reading.end()
    // What waits was not committed: whoever has the partition next reads it.
    this.#queue.clear()
    this.#parts.listener?.revoked(why)
    const idle = this.#idle.until(() => ending.every(({ inWork }) => inWork === 0))
    await endsWithin(idle, { signal })
    this.#commits?.rest()
    if (why !== 'lost' && this.#commits) await endsWithin(this.#commits.flush(), { signal })
    this.#left = new Map(ending.map(each => [partitionKey(each), each.position ?? each.committed]))
    this.#readings = new Map()
  }

  async take(batch: RecordBatch): Promise<void> {
    const reading = this.#readings.get(partitionKey(batch))
    if (reading === undefined) return
    for (const record of batch.records) {
      while (this.#queue.full) await this.#queue.room()
      if (reading.ended) return
      const mark = reading.add(record.offset)
      if (mark === null) continue
      this.#received++
      const frame = this.#bad.decode(record, this.#parts.settings.frame_codec)
      if (frame === null) {
        reading.finish(mark)
        this.#commits?.noteFinished(1)
        continue
      }
      const bytes = FRAME_OVERHEAD_BYTES + (record.value?.length ?? 0)
      this.#queue.push({ frame, bytes, mark, reading })
    }
    reading.reach(batch.nextOffset)
  }

  crashed(error: unknown, restartInMs: number): void {
    this.#crashes++
    const { group, log } = this.#parts
    log.warn(
      { group, restartInMs, err: describeError(error) },
      'a subscriber crashed, it joins again',
    )
  }

  outOfRange(partition: TopicPartition, position: bigint): void {
    this.#skips++
    const { group, log } = this.#parts
    const facts = { group, ...placeOf(partition), position: String(position) }
    log.warn(facts, 'records were deleted before they were read')
    this.#readings.get(partitionKey(partition))?.reposition()
  }

  handled({ reading, mark }: QueuedFrame): void {
    reading.inWork--
    reading.finish(mark)
    this.#commits?.noteFinished(1)
    this.#idle.notify()
  }

  returned(queued: QueuedFrame): void {
    queued.reading.inWork--
    this.#queue.putBack(queued)
    this.#idle.notify()
  }

  /** Another reader in between would have committed further than we did. */
  #resumes(position: Position): boolean {
    const key = partitionKey(position)
    if (!this.#left.has(key)) return false
    const left = this.#left.get(key) ?? null
    if (position.committed === null) return false
    return left === null || position.committed <= left
  }

  async #connect(): Promise<void> {
    const { settings, topic, group, from, log } = this.#parts
    const { signal } = this.#stopping
    const untilMs = monotonicMs() + settings.connect_timeout_ms
    await prepareTopics(settings, untilMs, signal).catch(error => {
      if (!signal.aborted) throw error
    })
    if (signal.aborted) {
      throw new SluiceError('lifecycle', 'the subscriber was closed while it was connecting')
    }
    const source = new KafkajsSource({
      connection: settings.connection,
      group,
      topics: [topic],
      from,
      missingTopic: 'fail',
      joinTimeoutMs: Math.max(1, untilMs - monotonicMs()),
      log,
      tuning: settings.tuning,
    })
    this.#source = source
    this.#commits = this.#newCommits(source)
    try {
      await source.start(this)
    } catch (error) {
      this.#commits.stop()
      await source.stop(settings.drain_timeout_ms)
      throw error
    }
  }

  #newCommits(source: KafkajsSource): OffsetCommits {
    const { group, log } = this.#parts
    return new OffsetCommits(
      {
        group,
        source,
        everyMs: COMMIT_EVERY_MS,
        everyRecords: COMMIT_EVERY_RECORDS,
        emit: event => {
          if (event.kind !== 'commit_failed') return
          const err = describeError(event.error)
          log.warn({ group, err }, 'offsets were not committed, they are with the next commit')
        },
      },
      () => this.#readings.values(),
    )
  }

  async #close(): Promise<void> {
    this.#stopping.abort()
    await this.#source?.stop(this.#parts.settings.drain_timeout_ms)
    this.#commits?.stop()
    this.#queue.close()
    await this.#connecting?.catch(() => {})
  }
}

function placeOf({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition }
}
