/**
 * Where the reading of each lane begins. Rows that are gone but not yet vacuumed would otherwise be passed over at
 * every reading, and while any transaction keeps vacuum from removing them there is no end to their number.
 *
 * Two marks per lane:
 * - **low water**: nothing stands below it and nothing ever will (`low-water.ts`).
 * - **hint**: the first event that was due at the last reading. Between the two stand events that wait for their
 *   delivery time or whose topic is held back; they are looked for again by a reading from low water, whose share of
 *   the time is limited. The hint does not move while any key is held by a retry: what is held stands below it and
 *   must not be overtaken. It falls back when a topic is let go. And it passes no id that was undecided before the
 *   reading: given, but not to be seen yet, it may be that of a key's earlier event.
 *
 * Refused events (`attempts` > 0) are read by an index of their own, wherever the marks are.
 */
import { monotonicMs } from '../internal/monotonic.ts'
import type { LaneStart, Reading } from './event-store.ts'
import type { HeldLease } from './lane-store.ts'
import type { LowWater } from './low-water.ts'

/** A reading from low water may take this share of the time, when it takes longer than the least pause allows. */
const RESCAN_SHARE = 1 / 20
const RESCAN_PAUSE_MS_MIN = 50
/** One slow answer must not keep events that fall due waiting for long. */
const RESCAN_PAUSE_MS_MAX = 5_000

interface Hint {
  readonly epoch: string
  readonly id: bigint
  readonly generation: number
}

/** A reading's way in; to be handed back to `found` with what was found. */
export interface Entry {
  readonly starts: readonly LaneStart[]
  readonly generation: number
  readonly fromLowWater: boolean
  readonly startedMs: number
  /** Whatever has an id up to here is to be seen by the reading, or will never be. */
  readonly decided: bigint
}

export class LaneStarts {
  readonly #lowWater: LowWater
  readonly #hints = new Map<number, Hint>()
  /** Rises when hints must fall back. */
  #generation = 0
  #heldBack: ReadonlySet<string> = new Set()
  #rescanDueMs = 0

  constructor(lowWater: LowWater) {
    this.#lowWater = lowWater
  }

  /** @param heldBack topics that the reading leaves out */
  enter(lanes: readonly HeldLease[], heldBack: readonly string[]): Entry {
    const now = new Set(heldBack)
    for (const topic of this.#heldBack) if (!now.has(topic)) this.#generation++
    this.#heldBack = now
    const startedMs = monotonicMs()
    const fromLowWater = startedMs >= this.#rescanDueMs
    const starts = lanes.map(lease => {
      const lowWater = this.#lowWater.of(lease)
      return { ...lease, fromId: fromLowWater ? lowWater : this.#hintOf(lease, lowWater) }
    })
    const { decided } = this.#lowWater
    return { starts, generation: this.#generation, fromLowWater, startedMs, decided }
  }

  found(entry: Entry, reading: Reading): void {
    const { starts, generation, fromLowWater, startedMs, decided } = entry
    if (fromLowWater) {
      const nowMs = monotonicMs()
      const pauseMs = Math.max(RESCAN_PAUSE_MS_MIN, (nowMs - startedMs) / RESCAN_SHARE)
      this.#rescanDueMs = nowMs + Math.min(RESCAN_PAUSE_MS_MAX, pauseMs)
    }
    if (reading.keysHeld) return
    const first = new Map<number, string>()
    for (const { lane, id, attempts } of reading.events) {
      if (attempts === 0 && !first.has(lane)) first.set(lane, id)
    }
    for (const { lane, epoch } of starts) {
      const due = first.get(lane)
      if (due === undefined) continue
      const id = BigInt(due) <= decided ? BigInt(due) : decided + 1n
      this.#hints.set(lane, { epoch, id, generation })
    }
  }

  /** As `LowWater.reset`. */
  reset(): void {
    this.#generation++
    this.#lowWater.reset()
  }

  #hintOf({ lane, epoch }: HeldLease, lowWater: bigint): bigint {
    const hint = this.#hints.get(lane)
    if (hint?.epoch !== epoch || hint.generation !== this.#generation) return lowWater
    return hint.id > lowWater ? hint.id : lowWater
  }
}
