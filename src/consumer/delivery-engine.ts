/**
 * Handles what a source delivers. Records go into a queue for each partition, workers take them from there, and the
 * offsets up to which all is finished are committed.
 *
 * An assignment lives from `assign` to `revoke`. While it is given up nothing new begins; what is in work may end
 * until the source's patience is over, then handlers are aborted, and what they still do is rolled back. A record
 * whose transaction was committed but whose offset was not comes again, and the inbox knows it.
 */
import { Assignment } from './assignment.ts'
import { BatchPath } from './batch-path.ts'
import { reasonOf } from './classify.ts'
import type { ConsumerListener } from './consumer-events.ts'
import { delivererOf } from './deliverer.ts'
import type { DeliveryStore } from './delivery-store.ts'
import { Dispatcher } from './dispatcher.ts'
import { DEFAULT_LIMITS, type EngineLimits } from './engine-limits.ts'
import { type DependencyGate, type Holds, POSTGRES } from './gates.ts'
import { BatchHandling } from './handling.ts'
import { Handover, type Why } from './handover.ts'
import type { MessageHandling } from './message-handling.ts'
import { OffsetCommits } from './offset-commits.ts'
import type { QueuedRecord } from './partition-queue.ts'
import { type PartitionWork, placeOf, STARTS_SUSPECT } from './partition-work.ts'
import { type PauseReason, PauseSet } from './pause-set.ts'
import { Readiness } from './readiness.ts'
import { type RecordEnd, RecordPath } from './record-path.ts'
import type {
  Position,
  RecordBatch,
  RecordSink,
  RecordSource,
  TopicPartition,
} from './record-source.ts'
import { RoomWatch } from './room-watch.ts'
import type { SubscriptionSettings } from './subscription-settings.ts'

export interface DeliveryEngineParts {
  readonly settings: SubscriptionSettings
  readonly source: Pick<RecordSource, 'setPaused' | 'commit'>
  readonly store: DeliveryStore
  /** A BatchHandling gets up to `batchSize` messages at once. */
  readonly handling: MessageHandling
  readonly batchSize?: number
  readonly gate: DependencyGate
  readonly holds: Holds
  readonly emit: ConsumerListener
  /** Something waits in the waiting room that did not before. */
  readonly parked: () => void
  /** The user's rebalance listener threw, or took too long; or `emit` threw. Must not throw itself. */
  readonly listenerFailed: (error: unknown) => void
  readonly limits?: Partial<EngineLimits>
}

/** What the member has and does, as its owner needs to know it. */
export type EngineState = 'unassigned' | 'running' | 'paused' | 'crashed'

export class DeliveryEngine implements RecordSink {
  readonly #parts: DeliveryEngineParts
  readonly #limits: EngineLimits
  readonly #pauses: PauseSet
  readonly #handover: Handover
  readonly #readiness: Readiness
  readonly #room: RoomWatch
  readonly #commits: OffsetCommits
  readonly #dispatcher: Dispatcher
  readonly #single: RecordPath
  readonly #batch: BatchPath | null
  readonly #unsubscribe: () => void
  #assignment: Assignment | null = null
  #revoking: Promise<void> | null = null
  #crashed = false

  constructor(given: DeliveryEngineParts) {
    // A watcher that throws must not end a worker with a record in its hands.
    const emit: ConsumerListener = event => {
      try {
        given.emit(event)
      } catch (error) {
        given.listenerFailed(error)
      }
    }
    const parts = { ...given, emit }
    this.#parts = parts
    this.#limits = { ...DEFAULT_LIMITS, ...parts.limits }
    const { settings, store, source, gate, handling, holds } = parts
    const { group } = settings
    const onChange = () => this.#refresh()
    this.#readiness = new Readiness({ gate, needs: settings.needs, onChange })
    this.#room = new RoomWatch({
      store,
      partitions: () => this.#works,
      onChange,
      failed: error => this.#storeFailed(error),
      everyMs: this.#limits.roomLookMs,
    })
    const { commitEveryMs: everyMs, commitEveryRecords: everyRecords } = this.#limits
    this.#commits = new OffsetCommits(
      { group, source, emit, everyMs, everyRecords },
      () => this.#works,
    )
    const deliver = delivererOf(store, settings.dedup)
    const path = { ...parts, deliver, readiness: this.#readiness, room: this.#room }
    this.#single = new RecordPath(path)
    this.#batch =
      handling instanceof BatchHandling
        ? new BatchPath({ ...path, handling, single: this.#single })
        : null
    this.#dispatcher = new Dispatcher({
      concurrency: settings.concurrency,
      oneEach: this.#batch !== null,
      allowance: max => (this.#assignment?.ending ? 0 : this.#readiness.allowance(max)),
      stands: work => work.full !== null || holds.holds(work),
      perform: work => this.#perform(work),
    })
    this.#pauses = new PauseSet({ group, source, emit })
    this.#handover = new Handover({
      ...parts,
      dispatcher: this.#dispatcher,
      commits: this.#commits,
      limits: this.#limits,
    })
    this.#unsubscribe = holds.onChange(onChange)
  }

  get state(): EngineState {
    if (this.#crashed) return 'crashed'
    if (this.#assignment === null) return 'unassigned'
    if (this.#readiness.admits === 'none') return 'paused'
    const works = this.#works
    const held = works.length > 0 && works.every(work => this.#parts.holds.holds(work))
    return held ? 'paused' : 'running'
  }

  async assign(positions: readonly Position[], epoch: number): Promise<void> {
    const { settings } = this.#parts
    const order = this.#batch ? 'none' : settings.order
    this.#crashed = false
    this.#assignment?.drop()
    this.#assignment = new Assignment(positions, epoch, { order, limits: this.#limits })
    this.#refresh()
    await this.#handover.assigned(positions.map(placeOf), epoch)
  }

  async take(batch: RecordBatch): Promise<void> {
    const assignment = this.#assignment
    if (assignment?.epoch !== batch.epoch || assignment.ending) return
    const work = assignment.of(batch)
    if (work === undefined || !(await work.take(batch))) return
    if (work.backPressure) this.#tellPauses()
    // Markers of transactions move the position without a record.
    this.#commits.noteFinished(0)
    this.#dispatcher.offer(work)
  }

  async revoke(why: Why, signal: AbortSignal): Promise<void> {
    const assignment = this.#assignment
    if (assignment === null) return
    assignment.ending = true
    // A stop may come while a rebalance drains, and have less patience.
    const abandon = () => assignment.abandon()
    if (signal.aborted) abandon()
    else signal.addEventListener('abort', abandon, { once: true })
    this.#revoking ??= this.#handover.giveUp(assignment, why, signal)
    await this.#revoking
    this.#revoking = null
    signal.removeEventListener('abort', abandon)
    if (this.#assignment === assignment) this.#assignment = null
  }

  crashed(error: unknown, restartInMs: number): void {
    this.#crashed = true
    const { settings, emit } = this.#parts
    emit({ kind: 'crashed', group: settings.group, error, restartInMs })
  }

  outOfRange(partition: TopicPartition, position: bigint): void {
    const { settings, emit } = this.#parts
    this.#assignment?.of(partition)?.reposition()
    emit({ kind: 'out_of_range', group: settings.group, ...placeOf(partition), position })
  }

  /** Begins nothing any more, whatever comes; `revoke` drains. */
  quiesce(): void {
    this.#dispatcher.stop()
  }

  /** Ends timers and listeners. For after the source has stopped. */
  close(): void {
    this.quiesce()
    this.#assignment?.abandon()
    this.#assignment?.drop()
    this.#assignment = null
    this.#unsubscribe()
    this.#readiness.stop()
    this.#room.stop()
    this.#commits.stop()
  }

  get #works(): readonly PartitionWork[] {
    return this.#assignment?.partitions ?? []
  }

  #refresh(): void {
    this.#tellPauses()
    this.#dispatcher.offerAll(this.#works)
  }

  #tellPauses(): void {
    if (this.#assignment === null || this.#assignment.ending) return
    const down = this.#readiness.admits === 'none'
    this.#pauses.update(this.#works, work => this.#reasonsOf(work, down))
  }

  #reasonsOf(work: PartitionWork, down: boolean): PauseReason[] {
    const reasons: PauseReason[] = []
    if (work.backPressure) reasons.push('back_pressure')
    if (down) reasons.push('dependency')
    if (work.full !== null) reasons.push('full')
    if (this.#parts.holds.holds(work)) reasons.push('held')
    return reasons
  }

  async #perform(work: PartitionWork): Promise<void> {
    const taken = work.begun
      ? work.nextMany(this.#batch && !work.careful ? (this.#parts.batchSize ?? 1) : 1)
      : []
    let end: RecordEnd
    try {
      end = await this.#run(taken, work)
    } catch (error) {
      this.#storeFailed(error)
      this.#readiness.rest()
      end = 'again'
    }
    if (end === 'given_up') return
    // Also of a batch that went well: one that must wait cuts it short.
    const left = taken.filter(({ mark }) => !mark.finished)
    if (left.length > 0) work.putBack(left)
    if (typeof end === 'object') work.postpone(end.waitMs, () => this.#dispatcher.offer(work))
  }

  async #run(taken: readonly QueuedRecord[], work: PartitionWork): Promise<RecordEnd> {
    const [first] = taken
    if (first === undefined) return await this.#begin(work)
    if (this.#batch && !work.careful) {
      return await this.#batch.run(taken, work, finished => this.#finish(finished, work))
    }
    const end = await this.#single.run(first, work)
    if (end === 'finished') this.#finish(taken, work)
    return end
  }

  async #begin(work: PartitionWork): Promise<RecordEnd> {
    try {
      const begun = await this.#parts.store.began(placeOf(work), work.firstOffset)
      if (begun.starts >= STARTS_SUSPECT || begun.attempted !== null) work.beCareful()
      work.begun = true
    } catch (error) {
      this.#storeFailed(error)
    }
    return 'finished'
  }

  #finish(finished: readonly QueuedRecord[], work: PartitionWork): void {
    let counted = 0
    for (const queued of finished) if (work.finish(queued)) counted++
    if (counted > 0) this.#commits.noteFinished(counted)
    if (!work.backPressure || !work.halfEmpty) return
    work.backPressure = false
    this.#tellPauses()
  }

  #storeFailed(error: unknown): void {
    this.#parts.emit({ kind: 'store_failed', group: this.#parts.settings.group, error })
    this.#readiness.failed(POSTGRES, reasonOf(error))
  }
}
