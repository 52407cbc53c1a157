import type { Fault } from './fault.ts'
import type { KafkaRecord } from './record.ts'

/** What the broker said of a chunk: the offset of its first record. */
export interface ChunkAnswer {
  readonly baseOffset: bigint
}

/** What the brokers say of themselves and of the topics that were asked for. */
export interface ClusterDescription {
  /** Null when the brokers do not tell. */
  readonly clusterId: string | null
  /** The number of partitions, or why it cannot be told. */
  readonly topics: ReadonlyMap<string, number | Fault>
}

/**
 * PORT: one client object, from its connect to its end. Whoever uses it retires it after any fault of the way, because
 * clients keep stale metadata, dead sockets and poisoned topic lists; a new object costs one connect.
 *
 * A session owes: no retry of its own, no topic made, nothing but the named partition written to, acknowledgements of
 * all replicas.
 */
export interface ClientSession {
  /** It takes no new work: it was retired, or what it knows has been overtaken. */
  readonly retired: boolean
  /** Resolves once it is retired and disconnected. */
  readonly ended: Promise<void>
  /** Rejects when the cluster cannot be reached. */
  connect(untilMs: number): Promise<void>
  /** Asks the brokers, not a cache. A topic that cannot be told has its fault; rejects when nothing can be told. */
  describe(topics: readonly string[]): Promise<ClusterDescription>
  /** Rejects unless the answer confirms just this partition. */
  send(
    topic: string,
    partition: number,
    records: readonly KafkaRecord[],
    untilMs: number,
  ): Promise<ChunkAnswer>
  /** Whether the client can write this record into a request, tried without a broker. */
  encodes(record: KafkaRecord): boolean
  faultOf(error: unknown): Fault
  /** Takes no new work; disconnects once what is in flight has ended. */
  retire(): void
  /** Retires, waits `graceMs` for what is in flight and for the disconnect, then cuts the sockets. Never rejects. */
  close(graceMs: number): Promise<void>
}

/** No client cancels: the request may still succeed later, which is why the outcome is unknown. */
export function expired(doing: string): Error {
  const error = new Error(`no answer from the broker in time while ${doing}`)
  error.name = 'timeout'
  return error
}

/** Whether it was our own deadline that ended the wait, so that what was waited for may still come. */
export function isExpired(error: unknown): boolean {
  return error instanceof Error && error.name === 'timeout'
}
