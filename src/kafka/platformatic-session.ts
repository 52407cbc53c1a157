import { createRecordsBatch, type MessageToProduce, ProduceAcks } from '@platformatic/kafka'
import { withDeadline } from '../internal/deadline.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { type ClientProducerOptions, REQUESTS_MAX } from './client-producer.ts'
import {
  type ChunkAnswer,
  type ClientSession,
  type ClusterDescription,
  expired,
} from './client-session.ts'
import type { Fault } from './fault.ts'
import { InFlight } from './in-flight.ts'
import { PlatformaticClient } from './platformatic-client.ts'
import { faultOfPlatformatic } from './platformatic-fault.ts'
import type { KafkaRecord } from './record.ts'

/** Buffers of the names that all records have. */
const NAMES = new Map(
  ['event_id', 'event_type', 'sluice-id'].map(name => [name, Buffer.from(name)]),
)

/** One producer object of @platformatic/kafka. A connection that is lost ends it, even if it could connect anew. */
export class PlatformaticSession implements ClientSession {
  readonly #client: PlatformaticClient
  readonly #inFlight = new InFlight()
  readonly ended: Promise<void>
  #connected: Promise<unknown> | null = null

  constructor({ connection, requestTimeoutMs }: ClientProducerOptions) {
    this.#client = new PlatformaticClient(connection, requestTimeoutMs, REQUESTS_MAX)
    // A new connection may lead to another cluster, and this object would never ask for its id again.
    this.#client.connections.on('disconnect', () => this.retire())
    this.ended = this.#inFlight.drained.then(() => this.#client.cut())
  }

  get retired(): boolean {
    return this.#inFlight.retired
  }

  async connect(untilMs: number): Promise<void> {
    if (this.#connected === null) {
      this.#connected = this.#client.metadata({ topics: [] })
      this.#connected.catch(() => {})
    }
    await withDeadline(this.#connected, untilMs - monotonicMs(), () => expired('connecting'))
  }

  async describe(topics: readonly string[]): Promise<ClusterDescription> {
    // One request per topic: a missing one fails the whole request it is in.
    const looking = topics.map(async topic => [topic, await this.#lookUp(topic)] as const)
    const found = new Map(await this.#inFlight.track(Promise.all(looking)))
    return { clusterId: this.#client.currentMetadata?.id || null, topics: found }
  }

  /** One partition a request: of an answer in which one partition is refused, it tells no outcome of the others. */
  async send(
    topic: string,
    partition: number,
    records: readonly KafkaRecord[],
    untilMs: number,
  ): Promise<ChunkAnswer> {
    this.#assertLeader(topic, partition)
    const messages = records.map(record => messageOf(record, topic, partition))
    const sending = this.#inFlight.track(this.#client.send({ messages, acks: ProduceAcks.ALL }))
    const { offsets = [] } = await withDeadline(sending, untilMs - monotonicMs(), () =>
      expired('publishing'),
    )
    const [answer] = offsets
    const named = offsets.length === 1 && answer?.topic === topic && answer.partition === partition
    if (!named || answer.offset < 0n) {
      throw new Error(`the answer does not confirm partition ${partition} of ${topic}`)
    }
    return { baseOffset: answer.offset }
  }

  encodes(record: KafkaRecord): boolean {
    try {
      const message = messageOf(record, '', 0)
      createRecordsBatch([message as Parameters<typeof createRecordsBatch>[0][number]])
      return true
    } catch {
      return false
    }
  }

  faultOf(error: unknown): Fault {
    return faultOfPlatformatic(error)
  }

  retire(): void {
    this.#inFlight.retire()
  }

  async close(graceMs: number): Promise<void> {
    this.retire()
    await withDeadline(this.ended, graceMs, () => expired('closing')).catch(() => {})
    this.#client.cut()
  }

  async #lookUp(topic: string): Promise<number | Fault> {
    try {
      const { topics } = await this.#client.metadata({ topics: [topic], forceUpdate: true })
      const partitions = topics.get(topic)?.partitionsCount ?? 0
      if (partitions === 0) throw new Error('the broker names no partition of it')
      return partitions
    } catch (error) {
      const fault = faultOfPlatformatic(error)
      // The connection is the one that publishes: after a time-out it takes a late answer for garbage.
      if (fault.of === 'way' && fault.scope === 'cluster') this.retire()
      return fault
    }
  }

  /**
   * Its `send` takes a partition that it does not know modulo the number of those that it knows, and fails outside of
   * any promise when the leader is not among the brokers.
   */
  #assertLeader(topic: string, partition: number): void {
    const metadata = this.#client.currentMetadata
    const leader = metadata?.topics.get(topic)?.partitions[partition]?.leader
    if (leader === undefined || !metadata?.brokers.has(leader)) {
      throw new Error(`the leader of partition ${partition} of ${topic} is not known`)
    }
  }
}

function messageOf(
  { key, value, headers }: KafkaRecord,
  topic: string,
  partition: number,
): MessageToProduce<Buffer, Buffer, Buffer, Buffer> {
  const list = new Map<Buffer, Buffer>()
  for (const name in headers) {
    list.set(NAMES.get(name) ?? Buffer.from(name), Buffer.from(headers[name] as string))
  }
  const message: MessageToProduce<Buffer, Buffer, Buffer, Buffer> = {
    topic,
    partition,
    headers: list,
    // Null is written as a tombstone, which its declaration does not know.
    value: value as Buffer,
  }
  if (key !== null) message.key = Buffer.from(key)
  return message
}
