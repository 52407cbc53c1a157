import { withDeadline } from '../internal/deadline.ts'
import { endsWithin } from '../internal/ends-within.ts'
import type { Assignment } from './assignment.ts'
import type { ConsumerListener } from './consumer-events.ts'
import type { DeliveryStore } from './delivery-store.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { EngineLimits } from './engine-limits.ts'
import type { OffsetCommits } from './offset-commits.ts'
import { placeOf } from './partition-work.ts'
import type { TopicPartition } from './record-source.ts'
import type { SubscriptionSettings } from './subscription-settings.ts'

export interface HandoverParts {
  readonly settings: Pick<SubscriptionSettings, 'group' | 'listener'>
  readonly store: Pick<DeliveryStore, 'ended'>
  readonly dispatcher: Pick<Dispatcher, 'idle'>
  readonly commits: OffsetCommits
  readonly emit: ConsumerListener
  readonly listenerFailed: (error: unknown) => void
  readonly limits: EngineLimits
}

export type Why = 'rebalance' | 'stop' | 'lost'

/** What is owed when partitions come and go. */
export class Handover {
  readonly #parts: HandoverParts

  constructor(parts: HandoverParts) {
    this.#parts = parts
  }

  async assigned(partitions: readonly TopicPartition[], epoch: number): Promise<void> {
    const { settings, emit } = this.#parts
    emit({ kind: 'joined', group: settings.group, epoch, partitions })
    await this.#tell(() => settings.listener.assigned?.(partitions, epoch))
  }

  /**
   * Drains, commits, and tells. Never rejects.
   * @param assignment in which nothing begins any more
   * @param signal aborted: no time is left for what is in work
   */
  async giveUp(assignment: Assignment, why: Why, signal: AbortSignal): Promise<void> {
    const { settings, emit, commits } = this.#parts
    const { group } = settings
    // Others have the partitions already, so their handlers are at work on the same records.
    if (why === 'lost') assignment.abandon()
    const drained = await this.#drain(assignment, why === 'lost' ? AbortSignal.abort() : signal)
    if (why !== 'lost') await this.#commit()
    commits.rest()
    if (drained) await this.#sayEnded(assignment)
    const partitions = assignment.partitions.map(placeOf)
    await this.#tell(() => settings.listener.revoked?.(partitions, why))
    assignment.drop()
    emit({ kind: 'revoked', group, why, partitions, drained })
  }

  /** @returns whether nothing is in work any more */
  async #drain(assignment: Assignment, signal: AbortSignal): Promise<boolean> {
    const { partitions } = assignment
    const idle = this.#parts.dispatcher.idle(partitions)
    if (!(await endsWithin(idle, { signal }))) {
      assignment.abandon()
      await endsWithin(idle, { durationMs: this.#parts.limits.abandonMs })
    }
    return partitions.every(({ inWork }) => inWork === 0)
  }

  async #commit(): Promise<void> {
    const { commits, emit, limits, settings } = this.#parts
    const late = () => new Error(`offsets were not committed within ${limits.farewellMs} ms`)
    try {
      await withDeadline(commits.flush(), limits.farewellMs, late)
    } catch (error) {
      emit({ kind: 'commit_failed', group: settings.group, error })
    }
  }

  async #sayEnded({ partitions }: Assignment): Promise<void> {
    const { emit, limits, settings, store } = this.#parts
    const late = () => new Error(`the end of reading was not stored within ${limits.farewellMs} ms`)
    const begun = partitions.filter(work => work.begun)
    try {
      const told = Promise.all(begun.map(work => store.ended(placeOf(work))))
      await withDeadline(told, limits.farewellMs, late)
    } catch (error) {
      emit({ kind: 'store_failed', group: settings.group, error })
    }
  }

  async #tell(call: () => Promise<void> | void): Promise<void> {
    const { limits, listenerFailed } = this.#parts
    const late = () => new Error(`the rebalance listener took longer than ${limits.listenerMs} ms`)
    try {
      await withDeadline(Promise.resolve(call()), limits.listenerMs, late)
    } catch (error) {
      listenerFailed(error)
    }
  }
}
