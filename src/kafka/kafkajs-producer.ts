import PQueue from 'p-queue'
import { withDeadline } from '../internal/deadline.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { Outcome, Producer } from '../relay/producer.ts'
import { type KafkaConnection, openKafka } from './connection.ts'
import { type Fault, faultOf } from './fault.ts'
import { expired, KafkajsSession } from './kafkajs-session.ts'
import { type EventFault, type PartitionList, PublishBatch } from './publish-batch.ts'
import { TopicDirectory } from './topic-directory.ts'

export interface KafkajsProducerOptions {
  readonly connection: KafkaConnection
  /** A request that takes longer has failed, with an unknown outcome. */
  readonly requestTimeoutMs: number
  /** Upper limit of one request's records; keep it below the topic's `max.message.bytes`. */
  readonly messageBytesMax: number
}

/** Requests in flight at once, over all partitions and batches of this producer. */
const REQUESTS_MAX = 32

/** Publishes with kafkajs: acks from all replicas, no retry of its own, one partition a request. */
export class KafkajsProducer implements Producer {
  readonly #options: KafkajsProducerOptions
  readonly #kafka: ReturnType<typeof openKafka>
  readonly #topics: TopicDirectory
  readonly #requests = new PQueue({ concurrency: REQUESTS_MAX })
  #session: KafkajsSession | null = null

  constructor(options: KafkajsProducerOptions) {
    this.#options = options
    this.#kafka = openKafka(options.connection, options.requestTimeoutMs)
    this.#topics = new TopicDirectory(this.#kafka)
  }

  async publish(batch: readonly OutboxEvent[], untilMs: number): Promise<Outcome[]> {
    const work = new PublishBatch(batch)
    const session = this.#currentSession()
    try {
      await session.connect(untilMs)
    } catch (error) {
      session.retire()
      work.failAll(faultOf(error))
      return work.outcomes
    }
    const partitions = await this.#partitionsOf(work, untilMs)
    const lists = work.byPartition(partitions)
    await this.#requests.addAll(
      lists.map(list => () => this.#publishPartition(session, work, list, untilMs)),
    )
    return work.outcomes
  }

  async close(): Promise<void> {
    this.#session?.retire()
  }

  async #partitionsOf(work: PublishBatch, untilMs: number): Promise<Map<string, number | Fault>> {
    const topics = work.topics()
    try {
      const looking = this.#topics.partitionsOf(topics)
      return await withDeadline(looking, untilMs - monotonicMs(), () =>
        expired('looking topics up'),
      )
    } catch (error) {
      const fault = faultOf(error)
      return new Map([...topics].map(topic => [topic, fault]))
    }
  }

  #currentSession(): KafkajsSession {
    if (this.#session === null || this.#session.retired)
      this.#session = new KafkajsSession(this.#kafka)
    return this.#session
  }

  /** One partition's events in order, in chunks that fit a request. The first fault of the way ends it. */
  async #publishPartition(
    session: KafkajsSession,
    work: PublishBatch,
    list: PartitionList,
    untilMs: number,
  ): Promise<void> {
    let chunk: number[] = []
    let bytes = 0
    for (const index of list.indices) {
      const size = work.bytesOf(index)
      if (chunk.length > 0 && bytes + size > this.#options.messageBytesMax) {
        if (!(await this.#publishChunk(session, work, list, chunk, untilMs))) return
        chunk = []
        bytes = 0
      }
      chunk.push(index)
      bytes += size
    }
    await this.#publishChunk(session, work, list, chunk, untilMs)
  }

  /** @returns false when the rest of the partition must wait */
  async #publishChunk(
    session: KafkajsSession,
    work: PublishBatch,
    list: PartitionList,
    indices: readonly number[],
    untilMs: number,
  ): Promise<boolean> {
    const chunk = indices.filter(index => work.isOpen(index))
    if (chunk.length === 0) return true
    const { topic, partition } = list
    try {
      if (monotonicMs() >= untilMs) throw expired('waiting to publish')
      const messages = chunk.map(index => work.messageOf(index))
      const { baseOffset } = await session.send(topic, partition, messages, untilMs)
      chunk.forEach((index, nth) => {
        work.ack(index, partition, baseOffset + BigInt(nth))
      })
      return true
    } catch (error) {
      const fault = faultOf(error)
      if (fault.of === 'event') return this.#narrow(session, work, list, chunk, untilMs, fault)
      session.retire()
      this.#topics.forget(topic)
      work.fail(list.indices, fault)
      return false
    }
  }

  /** Halves a refused chunk, first half first, until the event to blame stands alone. */
  async #narrow(
    session: KafkajsSession,
    work: PublishBatch,
    list: PartitionList,
    chunk: readonly number[],
    untilMs: number,
    fault: EventFault,
  ): Promise<boolean> {
    const [only, ...others] = chunk
    if (others.length === 0) {
      work.reject(only as number, fault)
      return true
    }
    const middle = Math.ceil(chunk.length / 2)
    const first = await this.#publishChunk(session, work, list, chunk.slice(0, middle), untilMs)
    return first && this.#publishChunk(session, work, list, chunk.slice(middle), untilMs)
  }
}
