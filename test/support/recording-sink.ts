import type { SourceRecord } from '../../src/consumer/message.ts'
import type {
  Position,
  RecordBatch,
  RecordSink,
  TopicPartition,
} from '../../src/consumer/record-source.ts'
import { until } from './until.ts'

/** What a sink was told, in order. */
export type Told =
  | { readonly kind: 'assign'; readonly partitions: readonly Position[]; readonly epoch: number }
  | { readonly kind: 'revoke'; readonly why: 'rebalance' | 'stop' | 'lost' }
  | { readonly kind: 'take'; readonly batch: RecordBatch }
  | { readonly kind: 'crashed'; readonly error: unknown; readonly restartInMs: number }
  | { readonly kind: 'outOfRange'; readonly partition: TopicPartition; readonly position: bigint }

type Revoke = (why: 'rebalance' | 'stop' | 'lost', signal: AbortSignal) => Promise<void>

/** A sink that notes what it is told, and does what a test hands it. */
export class RecordingSink implements RecordSink {
  readonly told: Told[] = []
  /** Partition keys of the current assignment. */
  assigned: ReadonlySet<string> = new Set()
  onTake: (batch: RecordBatch) => Promise<void> = async () => {}
  onRevoke: Revoke = async () => {}
  onAssign: () => Promise<void> = async () => {}

  async assign(partitions: readonly Position[], epoch: number): Promise<void> {
    this.told.push({ kind: 'assign', partitions, epoch })
    await this.onAssign()
    this.assigned = new Set(partitions.map(({ topic, partition }) => `${topic}/${partition}`))
  }

  async revoke(why: 'rebalance' | 'stop' | 'lost', signal: AbortSignal): Promise<void> {
    this.told.push({ kind: 'revoke', why })
    await this.onRevoke(why, signal)
    this.assigned = new Set()
  }

  async take(batch: RecordBatch): Promise<void> {
    this.told.push({ kind: 'take', batch })
    await this.onTake(batch)
  }

  crashed(error: unknown, restartInMs: number): void {
    this.told.push({ kind: 'crashed', error, restartInMs })
  }

  outOfRange(partition: TopicPartition, position: bigint): void {
    this.told.push({ kind: 'outOfRange', partition, position })
  }

  get batches(): RecordBatch[] {
    return this.told.flatMap(each => (each.kind === 'take' ? [each.batch] : []))
  }

  get records(): SourceRecord[] {
    return this.batches.flatMap(({ records }) => records)
  }

  /** Values as text, in the order in which they came. */
  get values(): string[] {
    return this.records.map(({ value }) => String(value))
  }

  get epochs(): number[] {
    return this.told.flatMap(each => (each.kind === 'assign' ? [each.epoch] : []))
  }

  get revocations(): string[] {
    return this.told.flatMap(each => (each.kind === 'revoke' ? [each.why] : []))
  }

  get crashes(): unknown[] {
    return this.told.flatMap(each => (each.kind === 'crashed' ? [each.error] : []))
  }

  /** What it was last told to begin with. */
  get positions(): readonly Position[] {
    return this.told.findLast(each => each.kind === 'assign')?.partitions ?? []
  }

  async untilRecords(count: number, deadlineMs = 20_000): Promise<void> {
    await until(() => this.records.length >= count, {
      deadlineMs,
      what: `${count} records were taken`,
    })
  }

  async untilAssigned(count: number, deadlineMs = 20_000): Promise<void> {
    await until(() => this.assigned.size === count, {
      deadlineMs,
      what: `${count} partitions are assigned`,
    })
  }
}
