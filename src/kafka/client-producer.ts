import PQueue from 'p-queue'
import { withDeadline } from '../internal/deadline.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import { type ClusterView, NOTHING_KNOWN } from '../relay/cluster-view.ts'
import type { Outcome, Producer } from '../relay/producer.ts'
import { type ClientSession, expired, isExpired } from './client-session.ts'
import type { KafkaConnection } from './connection.ts'
import { type EventFault, type Fault, faultOfWay, type WayFault } from './fault.ts'
import { type PartitionList, PublishBatch } from './publish-batch.ts'
import { TopicDirectory } from './topic-directory.ts'

export interface ClientProducerOptions {
  readonly connection: KafkaConnection
  /** A request that takes longer has failed, with an unknown outcome. */
  readonly requestTimeoutMs: number
  /** Upper limit of one request's records; keep it below the topic's `max.message.bytes`. */
  readonly messageBytesMax: number
}

/** Outcomes, and what was seen of the cluster on the way. */
export interface PublishReport {
  readonly outcomes: Outcome[]
  readonly view: ClusterView
}

/** Requests in flight at once, over all partitions and batches of this producer. */
export const REQUESTS_MAX = 32

/** kafkajs copies the list of a partition's records once for each of them; beyond this it stalls its thread. */
const RECORDS_OF_REQUEST_MAX = 2_000

const CLOSED = faultOfWay('closed', 'the producer is closed')

const CLIENT_ERROR: EventFault = {
  of: 'event',
  code: 'client_error',
  message: 'the Kafka client cannot write a record of this event',
  permanent: false,
}

/** One session and what it knows of topics: a new session asks anew, also which cluster it has reached. */
interface Way {
  readonly session: ClientSession
  readonly topics: TopicDirectory
  /** Batches in a row whose time was over before the session was connected and knew their topics. */
  lateInARow: number
}

/**
 * A slow start goes on for the next batch, which finds it further on: a new session after each would never get there
 * while brokers need longer than a batch has. But not for ever: connecting may hang.
 */
const LATE_IN_A_ROW_MAX = 4

/** Publishes through any client: acks from all replicas, one partition a request, a new session after any fault. */
export class ClientProducer implements Producer {
  readonly #options: ClientProducerOptions
  readonly #openSession: () => ClientSession
  readonly #requests = new PQueue({ concurrency: REQUESTS_MAX })
  /** Those that are not disconnected yet, retired ones too. */
  readonly #sessions = new Set<ClientSession>()
  #way: Way | null = null
  #closed = false

  /** @param openSession opens nothing before its `connect` */
  constructor(options: ClientProducerOptions, openSession: () => ClientSession) {
    this.#options = options
    this.#openSession = openSession
  }

  async publish(batch: readonly OutboxEvent[], untilMs: number): Promise<Outcome[]> {
    const { outcomes } = await this.publishKnowing(batch, untilMs, NOTHING_KNOWN)
    return outcomes
  }

  /**
   * Publishes, knowing what others have learnt. When `known` names a cluster and another one answers, nothing is sent.
   * An empty batch connects, and reports which cluster is there.
   */
  async publishKnowing(
    batch: readonly OutboxEvent[],
    untilMs: number,
    known: ClusterView,
  ): Promise<PublishReport> {
    const work = new PublishBatch(batch)
    if (this.#closed) {
      work.failAll(CLOSED)
      return { outcomes: work.outcomes, view: NOTHING_KNOWN }
    }
    let way = this.#currentWay()
    let partitions = await this.#prepare(way, work, untilMs, known)
    if (partitions !== null && way.session.retired && !this.#closed) {
      // It has just learnt that a topic has grown, or another batch has met a fault.
      way = this.#currentWay()
      partitions = await this.#prepare(way, work, untilMs, known)
    }
    if (partitions !== null) {
      await this.#publishLists(way.session, work, work.byPartition(partitions), untilMs)
    }
    const { clusterId } = way.topics
    const view = { clusterId, partitions: way.topics.counts(work.topics()) }
    return { outcomes: work.outcomes, view }
  }

  /** What is in flight keeps `graceMs`; what is published from now on is not sent. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#sessions].map(session => session.close(graceMs)))
  }

  #currentWay(): Way {
    if (this.#way === null || this.#way.session.retired) {
      const session = this.#openSession()
      this.#sessions.add(session)
      void session.ended.then(() => this.#sessions.delete(session))
      this.#way = { session, topics: new TopicDirectory(session), lateInARow: 0 }
    }
    return this.#way
  }

  /** @returns null when nothing can be sent; all of the batch then has its outcome */
  async #prepare(
    way: Way,
    work: PublishBatch,
    untilMs: number,
    known: ClusterView,
  ): Promise<Map<string, number | Fault> | null> {
    const { session, topics } = way
    try {
      await session.connect(untilMs)
      const named = work.partitionsNamed()
      const looking = topics.partitionsOf(work.topics(), known.partitions, named)
      const late = () => expired('looking topics up')
      const partitions = await withDeadline(looking, untilMs - monotonicMs(), late)
      way.lateInARow = 0
      const { clusterId } = topics
      if (known.clusterId === null || clusterId === null || clusterId === known.clusterId) {
        return partitions
      }
      session.retire()
      work.failAll(wrongCluster(clusterId, known.clusterId))
    } catch (error) {
      if (isExpired(error)) way.lateInARow++
      if (!isExpired(error) || way.lateInARow >= LATE_IN_A_ROW_MAX) session.retire()
      work.failAll(session.faultOf(error))
    }
    return null
  }

  /** Round by round; a fault of the way leaves the later ones to the next batch. */
  async #publishLists(
    session: ClientSession,
    work: PublishBatch,
    lists: readonly PartitionList[],
    untilMs: number,
  ): Promise<void> {
    for (const round of new Set(lists.map(list => list.round))) {
      const now = lists.filter(list => list.round === round)
      await this.#requests.addAll(
        now.map(list => () => this.#publishPartition(session, work, list, untilMs)),
      )
      if (session.retired) return
    }
  }

  /** One partition's events in order, in chunks that fit a request. The first fault of the way ends it. */
  async #publishPartition(
    session: ClientSession,
    work: PublishBatch,
    list: PartitionList,
    untilMs: number,
  ): Promise<void> {
    let chunk: number[] = []
    let bytes = 0
    for (const index of list.indices) {
      const size = work.bytesOf(index)
      const full =
        bytes + size > this.#options.messageBytesMax || chunk.length >= RECORDS_OF_REQUEST_MAX
      if (chunk.length > 0 && full) {
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
    session: ClientSession,
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
      const records = chunk.map(index => work.recordOf(index))
      const { baseOffset } = await session.send(topic, partition, records, untilMs)
      chunk.forEach((index, nth) => {
        work.ack(index, partition, baseOffset + BigInt(nth))
      })
      return true
    } catch (error) {
      const fault = session.faultOf(error)
      if (fault.of === 'event') return this.#narrow(session, work, list, chunk, untilMs, fault)
      if (rejectUnencodable(session, work, chunk)) {
        return this.#publishChunk(session, work, list, chunk, untilMs)
      }
      session.retire()
      work.fail(list.indices, fault)
      return false
    }
  }

  /** Halves a refused chunk, first half first, until the event to blame stands alone. */
  async #narrow(
    session: ClientSession,
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

/**
 * An error in writing a request looks like one in reading its answer. So each record is tried alone, without a broker:
 * sending halves instead would repeat what a broker has stored whose answer is garbled, and blame an event for it.
 * @returns whether any was rejected: the chunk was then never sent
 */
function rejectUnencodable(
  session: ClientSession,
  work: PublishBatch,
  chunk: readonly number[],
): boolean {
  let found = false
  for (const index of chunk) {
    if (!work.isOpen(index) || session.encodes(work.recordOf(index))) continue
    work.reject(index, CLIENT_ERROR)
    found = true
  }
  return found
}

function wrongCluster(found: string, expected: string): WayFault {
  const message = `the brokers belong to the Kafka cluster ${found}, this outbox to ${expected}`
  return { of: 'way', code: 'wrong_cluster', message, fault: 'producer', scope: 'cluster' }
}
