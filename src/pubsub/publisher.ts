import { SluiceError } from '../errors.ts'
import { endsWithin } from '../internal/ends-within.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { partitionOfKey } from '../kafka/partitioner.ts'
import type { KafkaRecord } from '../kafka/record.ts'
import type { AirCoreFrame } from './air-core-frame.ts'
import type { config } from './config.ts'
import { PendingSend } from './pending-send.ts'
import { closed, PublishingWay } from './publishing-way.ts'
import { Room } from './room.ts'
import { TopicLanes } from './topic-lanes.ts'
import { topic_type } from './topic-type.ts'

const CLOSE_GRACE_MS = 1_000

export interface SendOptions {
  readonly topic_type: topic_type
  /** Instead of the key's, or of the frame's reply address. */
  readonly partition?: number
  /** Default: the config's publish_timeout_ms. */
  readonly timeout_ms?: number
  /** Aborted: nobody waits any more. What is on its way may still arrive. */
  readonly signal?: AbortSignal
}

/** Where the brokers have put a frame. */
export interface Sent {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

/** Sends frames to the worker topic and to reply partitions; all replicas acknowledge. */
export class publisher implements AsyncDisposable {
  readonly #config: config
  readonly #way: PublishingWay
  readonly #room: Room
  readonly #closing = new AbortController()
  readonly #topics = new Map<string, TopicLanes>()
  #sent = 0
  #failed = 0
  #closed: Promise<void> | null = null

  private constructor(settings: config) {
    this.#config = settings
    this.#way = new PublishingWay(settings, this.#closing.signal)
    this.#room = new Room(settings.sends_max)
  }

  /** Opens nothing yet: the first `send` connects, or `connect`. */
  static create(settings: config): publisher {
    return new publisher(settings)
  }

  /** Frames that the brokers have confirmed. */
  get sent(): number {
    return this.#sent
  }

  /** Frames whose `send` was rejected. */
  get failed(): number {
    return this.#failed
  }

  /** Frames that wait for the brokers' answer. */
  get in_flight(): number {
    return this.#room.taken
  }

  /** Connections made so far: one, and one more after each fault. */
  get sessions(): number {
    return this.#way.opened
  }

  /**
   * Connects, and makes the topics if the config says so; without it the first `send` does.
   * @throws SluiceError `options`: a topic is missing, or the brokers refuse; `broker`: not within connect_timeout_ms
   */
  async connect(): Promise<void> {
    this.#assertOpen()
    const untilMs = monotonicMs() + this.#config.connect_timeout_ms
    const { worker, reply_to } = this.#config.topics
    for (const topic of [worker, reply_to]) await this.#way.partitionsOf(topic, untilMs)
  }

  /**
   * Sends a frame. To the worker topic: the partition of its key, any when it has none. To a reply topic: the
   * partition that the frame's reply address names. Frames for one partition keep the order of the calls.
   *
   * Tried again as long as there is time, so that a frame may come twice: its id tells.
   * @returns once all replicas have it
   * @throws SluiceError `broker`: not confirmed in time, it may have arrived; `options`: a topic is missing, or the
   * brokers refuse; `event`: the frame itself is refused; `lifecycle`: closed; the signal's reason
   */
  async send(frame: AirCoreFrame, options: SendOptions): Promise<Sent> {
    this.#assertOpen()
    options.signal?.throwIfAborted()
    const timeoutMs = options.timeout_ms ?? this.#config.publish_timeout_ms
    const untilMs = monotonicMs() + timeoutMs
    const late = () => this.#late(frame, timeoutMs)
    try {
      const topic = this.#topicOf(frame, options)
      const record = this.#recordOf(frame, options)
      const entered = this.#room.enter(timeoutMs)
      // Without a wait when there is room: frames keep the order of the calls.
      if (entered !== true && !(await entered)) throw late()
      try {
        const pending = new PendingSend({
          record,
          choose: partitions => partitionOf(frame, options, partitions),
          partitions_min: 1 + (askedPartition(frame, options) ?? -1),
          untilMs,
          signal: options.signal,
          late,
        })
        this.#lanes(topic).add(pending)
        const answer = await pending.answer
        this.#sent++
        return { topic, ...answer }
      } finally {
        this.#room.leave()
      }
    } catch (error) {
      this.#failed++
      throw error
    }
  }

  /** Waits drain_timeout_ms for what is on its way, and closes. Never rejects. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    await this.#closed
  }

  async #close(): Promise<void> {
    const idle = () => Promise.all([...this.#topics.values()].map(each => each.idle()))
    await endsWithin(idle(), { durationMs: this.#config.drain_timeout_ms })
    this.#closing.abort()
    await this.#way.close(CLOSE_GRACE_MS)
    await endsWithin(idle(), { durationMs: CLOSE_GRACE_MS })
  }

  #assertOpen(): void {
    if (this.#closed !== null) throw closed()
  }

  #lanes(topic: string): TopicLanes {
    const known = this.#topics.get(topic)
    if (known) return known
    const { publish_timeout_ms: request_timeout_ms } = this.#config
    const { signal } = this.#closing
    const lanes = new TopicLanes({ way: this.#way, topic, request_timeout_ms, closed: signal })
    this.#topics.set(topic, lanes)
    return lanes
  }

  #topicOf(frame: AirCoreFrame, options: SendOptions): string {
    const { topics, reply_topics } = this.#config
    if (options.topic_type === topic_type.worker) return topics.worker
    if (options.topic_type !== topic_type.reply_to) {
      throw new SluiceError('options', "topic_type must be 'worker' or 'reply_to'")
    }
    const topic = frame.reply_to?.topic ?? topics.reply_to
    if (topic === topics.reply_to || reply_topics.includes(topic)) return topic
    throw new SluiceError(
      'options',
      `frame ${frame.id} asks for its reply in a topic that is not listed: name it in reply_topics if it is one of yours`,
    )
  }

  #recordOf(frame: AirCoreFrame, options: SendOptions): KafkaRecord {
    const { buffer, byteOffset, byteLength } = this.#config.frame_codec.encode(frame)
    return {
      key: options.topic_type === topic_type.worker ? frame.key : frame.correlation_id,
      value: Buffer.from(buffer, byteOffset, byteLength),
      headers: { event_id: frame.id, event_type: frame.type },
    }
  }

  #late(frame: AirCoreFrame, timeoutMs: number): SluiceError {
    return new SluiceError(
      'broker',
      `frame ${frame.id} was not confirmed within ${timeoutMs} ms: whether it has arrived is unknown; send it again with the same id`,
      { retryable: true, cause: this.#way.fault, details: { frame_id: frame.id } },
    )
  }
}

function askedPartition(frame: AirCoreFrame, options: SendOptions): number | undefined {
  const isReply = options.topic_type === topic_type.reply_to
  return options.partition ?? (isReply ? frame.reply_to?.partition : undefined)
}

function partitionOf(frame: AirCoreFrame, options: SendOptions, partitions: number): number {
  if (options.partition !== undefined) return checked('partition', options.partition, partitions)
  if (options.topic_type === topic_type.worker) {
    // By its id when it has no key: a frame that is sent again does not land beside itself.
    return partitionOfKey(frame.key ?? frame.id, partitions)
  }
  if (frame.reply_to === null) {
    throw new SluiceError(
      'event',
      `frame ${frame.id} has no reply address: make it with AirCoreFrame.reply, or give a partition`,
    )
  }
  return checked('reply_to.partition', frame.reply_to.partition, partitions)
}

function checked(field: string, partition: number, partitions: number): number {
  if (Number.isInteger(partition) && partition >= 0 && partition < partitions) return partition
  throw new SluiceError(
    'event',
    `${field} must be a partition of the topic, 0 to ${partitions - 1}, it is ${partition}`,
  )
}
