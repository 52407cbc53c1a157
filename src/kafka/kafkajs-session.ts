import { createRequire } from 'node:module'
import type { Admin, Kafka, Producer as KafkajsClient, Message } from 'kafkajs'
import { withDeadline } from '../internal/deadline.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import type { ClientProducerOptions } from './client-producer.ts'
import {
  type ChunkAnswer,
  type ClientSession,
  type ClusterDescription,
  expired,
} from './client-session.ts'
import { openKafka } from './connection.ts'
import type { Fault } from './fault.ts'
import { InFlight } from './in-flight.ts'
import { faultOfKafkajs } from './kafkajs-fault.ts'
import './kafkajs-queue.ts'
import { KafkajsSockets } from './kafkajs-sockets.ts'
import type { KafkaRecord } from './record.ts'

/** How kafkajs writes one record; it has no public name. */
const writeRecord = createRequire(import.meta.url)(
  'kafkajs/src/protocol/recordBatch/record/v0',
) as (record: object) => unknown

/** One kafkajs producer object. Topics are looked up by an admin object of their own each time (its issue 1622). */
export class KafkajsSession implements ClientSession {
  readonly #kafka: Kafka
  readonly #sockets = new KafkajsSockets()
  readonly #client: KafkajsClient
  readonly #inFlight = new InFlight()
  readonly #partitions = new Map<string, number>()
  readonly ended: Promise<void>
  #connected: Promise<void> | null = null

  constructor({ connection, requestTimeoutMs }: ClientProducerOptions) {
    this.#kafka = openKafka(connection, requestTimeoutMs, this.#sockets.factory)
    this.#client = this.#kafka.producer({
      allowAutoTopicCreation: false,
      idempotent: false,
      createPartitioner:
        () =>
        ({ message }) =>
          message.partition as number,
    })
    this.ended = this.#inFlight.drained
      .then(() => this.#connected)
      .then(() => this.#client.disconnect())
      .catch(() => {})
  }

  get retired(): boolean {
    return this.#inFlight.retired
  }

  async connect(untilMs: number): Promise<void> {
    if (this.#connected === null) {
      this.#connected = this.#client.connect()
      this.#connected.catch(() => {})
    }
    await withDeadline(this.#connected, untilMs - monotonicMs(), () => expired('connecting'))
  }

  async describe(topics: readonly string[]): Promise<ClusterDescription> {
    const admin = this.#kafka.admin()
    try {
      await admin.connect()
      const { clusterId } = await admin.describeCluster()
      const found = new Map<string, number | Fault>()
      // One request per topic: a missing one fails the whole request it is in.
      for (const topic of topics) found.set(topic, await this.#lookUp(admin, topic))
      return { clusterId: clusterId || null, topics: found }
    } finally {
      admin.disconnect().catch(() => {})
    }
  }

  /**
   * One partition a request: with several, kafkajs reports only the first error, and after a leader's move may resolve
   * without having sent a part.
   */
  async send(
    topic: string,
    partition: number,
    records: readonly KafkaRecord[],
    untilMs: number,
  ): Promise<ChunkAnswer> {
    const leftMs = untilMs - monotonicMs()
    // Without one, kafkajs would ask the clock for each record.
    const timestamp = String(Date.now())
    const messages = records.map((record): Message => ({ ...record, partition, timestamp }))
    const request = { topic, messages, acks: -1, timeout: Math.ceil(leftMs) }
    const sending = this.#inFlight.track(this.#client.send(request))
    const answers = await withDeadline(sending, leftMs, () => expired('publishing'))
    const [answer] = answers
    const named =
      answers.length === 1 && answer?.topicName === topic && answer.partition === partition
    if (!named || answer.errorCode !== 0 || answer.baseOffset === undefined) {
      throw new Error(`the answer does not confirm partition ${partition} of ${topic}`)
    }
    return { baseOffset: BigInt(answer.baseOffset) }
  }

  encodes(record: KafkaRecord): boolean {
    try {
      writeRecord({ ...record, offsetDelta: 0, timestampDelta: 0 })
      return true
    } catch {
      return false
    }
  }

  faultOf(error: unknown): Fault {
    return faultOfKafkajs(error)
  }

  retire(): void {
    this.#inFlight.retire()
  }

  async close(graceMs: number): Promise<void> {
    this.retire()
    // kafkajs waits without a limit for connections that do not answer.
    await withDeadline(this.ended, graceMs, () => expired('closing')).catch(() => {})
    this.#sockets.cut()
  }

  async #lookUp(admin: Admin, topic: string): Promise<number | Fault> {
    try {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      const partitions = topics[0]?.partitions.length ?? 0
      if (partitions === 0) throw new Error('the broker names no partition of it')
      this.#note(topic, partitions)
      return partitions
    } catch (error) {
      return faultOfKafkajs(error)
    }
  }

  /** The producer object keeps the partitions that it has seen first, and sends nothing to others. */
  #note(topic: string, partitions: number): void {
    if (partitions !== (this.#partitions.get(topic) ?? partitions)) this.retire()
    this.#partitions.set(topic, partitions)
  }
}
