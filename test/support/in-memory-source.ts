import type { SourceRecord } from '../../src/consumer/message.ts'
import type {
  CommitOffset,
  Position,
  RecordBatch,
  RecordSink,
  RecordSource,
  TopicPartition,
} from '../../src/consumer/record-source.ts'

export interface RecordShape {
  readonly topic?: string
  readonly partition?: number
  readonly offset: number
  readonly key?: string | null
  readonly value?: string | null
  readonly id?: string | null
  readonly type?: string | null
  readonly headers?: Readonly<Record<string, string>>
  readonly timestampMs?: number
}

/** A record with id `m<offset>`, type `Made` and the offset as its JSON value, unless said otherwise. */
export function recordOf(shape: RecordShape): SourceRecord {
  const { topic = 'orders', partition = 0, offset, key = null, value = `${offset}` } = shape
  const { id = `m${partition}-${offset}`, type = 'Made', headers = {}, timestampMs } = shape
  const named = { event_id: id, event_type: type, ...headers }
  return {
    topic,
    partition,
    offset: BigInt(offset),
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    headers: Object.entries(named)
      .filter((entry): entry is [string, string] => entry[1] !== null)
      .map(([name, text]) => ({ name, value: Buffer.from(text) })),
    timestampMs: timestampMs ?? Date.now(),
  }
}

/** A source whose member joins, reads and loses its partitions when the test says so. */
export class InMemorySource implements RecordSource {
  /** Each call of `setPaused`, as `topic/partition` lists. */
  readonly paused: string[][] = []
  /** Each commit, as `topic/partition@offset` lists. */
  readonly commits: string[][] = []
  /** Thrown by the next commits, one each. */
  readonly commitErrors: Error[] = []
  stopped = false
  #sink: RecordSink | null = null
  #epoch = 0
  readonly #next = new Map<string, bigint>()

  async start(sink: RecordSink): Promise<void> {
    this.#sink = sink
  }

  /** Joins with these partitions. */
  async join(positions: readonly Partial<Position>[] = [{}]): Promise<void> {
    this.#epoch++
    this.#next.clear()
    const whole = positions.map(({ topic = 'orders', partition = 0, committed = null }) => ({
      topic,
      partition,
      committed,
    }))
    await this.#given.assign(whole, this.#epoch)
  }

  /** Delivers records, all of one partition. */
  async deliver(records: readonly SourceRecord[], more: Partial<RecordBatch> = {}): Promise<void> {
    const { topic = 'orders', partition = 0 } = records[0] ?? {}
    const last = records.at(-1)?.offset ?? -1n
    await this.#given.take({
      topic,
      partition,
      epoch: this.#epoch,
      records,
      nextOffset: last + 1n,
      highWatermark: last + 1n,
      ...more,
    })
  }

  async rebalance(signal = new AbortController().signal): Promise<void> {
    await this.#given.revoke('rebalance', signal)
  }

  async lose(): Promise<void> {
    await this.#given.revoke('lost', new AbortController().signal)
    this.#given.crashed(new Error('gone'), 100)
  }

  setPaused(partitions: readonly TopicPartition[]): void {
    this.paused.push(partitions.map(({ topic, partition }) => `${topic}/${partition}`))
  }

  async commit(offsets: readonly CommitOffset[]): Promise<void> {
    const error = this.commitErrors.shift()
    if (error) throw error
    this.commits.push(
      offsets.map(({ topic, partition, offset }) => `${topic}/${partition}@${offset}`),
    )
  }

  async stop(timeoutMs: number): Promise<void> {
    this.stopped = true
    await this.#sink?.revoke('stop', AbortSignal.timeout(timeoutMs))
  }

  get #given(): RecordSink {
    if (this.#sink === null) throw new Error('start the source first')
    return this.#sink
  }
}
