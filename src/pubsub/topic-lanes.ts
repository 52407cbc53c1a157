import { SluiceError } from '../errors.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import type { PendingSend } from './pending-send.ts'
import { closed, type PublishingWay } from './publishing-way.ts'
import { SendLane } from './send-lane.ts'

export interface TopicLanesParts {
  readonly way: PublishingWay
  readonly topic: string
  readonly request_timeout_ms: number
  readonly closed: AbortSignal
}

/** What goes to one topic: finds each frame's partition, in the order in which they came. */
export class TopicLanes {
  readonly #parts: TopicLanesParts
  readonly #lanes = new Map<number, SendLane>()
  #unplaced: PendingSend[] = []
  #placing: Promise<void> | null = null

  constructor(parts: TopicLanesParts) {
    this.#parts = parts
  }

  add(pending: PendingSend): void {
    this.#unplaced.push(pending)
    this.#placing ??= this.#place()
  }

  /** Resolves when nothing is left of what was added. */
  async idle(): Promise<void> {
    await this.#placing
    await Promise.all([...this.#lanes.values()].map(lane => lane.idle()))
  }

  async #place(): Promise<void> {
    const { way, topic, request_timeout_ms } = this.#parts
    while (this.#unplaced.length > 0) {
      try {
        const untilMs = monotonicMs() + request_timeout_ms
        const known = await way.partitionsOf(topic, untilMs)
        const told = Math.max(...this.#unplaced.map(each => each.partitions_min))
        // It has grown: others knew it first.
        const grown = told > known && (await way.learnAgain(untilMs))
        this.#deal(grown ? await way.partitionsOf(topic, untilMs) : known)
      } catch (error) {
        this.#unplaced = this.#unplaced.filter(each => !each.over)
        const again = error instanceof SluiceError && error.retryable && !this.#parts.closed.aborted
        if (!again) this.#failAll(this.#parts.closed.aborted ? closed() : error)
      }
    }
    // In the turn that found nothing left, not in a later one: what is added in between would wait for nobody.
    this.#placing = null
  }

  #deal(partitions: number): void {
    const placed = this.#unplaced
    this.#unplaced = []
    for (const each of placed) {
      try {
        this.#lane(each.choose(partitions)).add(each)
      } catch (error) {
        each.fail(error)
      }
    }
  }

  #failAll(error: unknown): void {
    const failed = this.#unplaced
    this.#unplaced = []
    for (const each of failed) each.fail(error)
  }

  #lane(partition: number): SendLane {
    const known = this.#lanes.get(partition)
    if (known) return known
    const lane = new SendLane({ ...this.#parts, partition })
    this.#lanes.set(partition, lane)
    return lane
  }
}
