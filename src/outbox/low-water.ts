/**
 * The low-water mark of each lane: nothing stands below it, and nothing ever will.
 *
 * "Nothing is to be seen below" is no proof of that. Ids are given before their transactions commit, so a lower id may
 * commit late, and it may be the earlier event of a key whose later one stands above the mark. The proof takes three
 * steps, in this order:
 * 1. L is the greatest id that has been given.
 * 2. W are the transactions that hold a writer's lock on the table; a transaction takes it before its first id, and
 *    PostgreSQL lets it go only after the transaction's rows are to be seen.
 * 3. Once all of W have ended, whatever has an id of at most L is to be seen or will never be. A look from then on
 *    finds the first id of each lane; that id, or L + 1 if it is smaller, is the mark.
 *
 * A transaction that writes events and stays open keeps the marks where they are; readings then pass over what has
 * gone since, as they would without marks.
 */
import { monotonicMs } from '../internal/monotonic.ts'
import type { IdStore, LaneStart, WritersSeen } from './event-store.ts'
import type { HeldLease } from './lane-store.ts'

const ADVANCE_EVERY_MS = 500
const IDLE_EVERY_MS = 2_000
const KEEP_EVERY_MS = 5_000
const SWEEP_EVERY_MS = 300_000

interface Undecided {
  readonly server: string
  readonly upTo: bigint
  /** The server's log must be flushed up to here, or a crash could give the ids out once more. */
  readonly position: bigint
  readonly writers: ReadonlySet<string>
}

export class LowWater {
  readonly #ids: IdStore
  /** Told of ids that were found below a mark: there cannot be any. */
  readonly #onBelow: (lanes: readonly number[]) => void
  readonly #marks = new Map<number, { readonly epoch: string; readonly id: bigint }>()
  /** Rises with each reset: a proof that was begun before it is void. */
  #resets = 0
  #before: WritersSeen | null = null
  #undecided: Undecided | null = null
  #decided = 0n
  #advanceDueMs = 0
  #keepDueMs = 0
  #sweepDueMs = monotonicMs() + SWEEP_EVERY_MS

  constructor(ids: IdStore, onBelow: (lanes: readonly number[]) => void) {
    this.#ids = ids
    this.#onBelow = onBelow
  }

  /** Whatever has an id up to here is to be seen, or will never be. */
  get decided(): bigint {
    return this.#decided
  }

  /** The mark of a lane that is held; that of its former owner until there is a newer one. */
  of({ lane, epoch, lowWater }: HeldLease): bigint {
    const mark = this.#marks.get(lane)
    return mark?.epoch === epoch ? mark.id : lowWater
  }

  /**
   * After an error another server may be there, promoted without the newest of what this one knew: only marks that
   * were written down, with the ids they speak of, count on.
   */
  reset(): void {
    this.#resets++
    this.#before = null
    this.#undecided = null
    this.#decided = 0n
    this.#marks.clear()
  }

  /** Milliseconds until `advance` has something to do. */
  get dueInMs(): number {
    return Math.max(0, this.#advanceDueMs - monotonicMs())
  }

  /** Moves the marks of these lanes as far as can be proved, when it is time. */
  async advance(lanes: readonly HeldLease[]): Promise<void> {
    const nowMs = monotonicMs()
    if (nowMs < this.#advanceDueMs) return
    this.#advanceDueMs = nowMs + ADVANCE_EVERY_MS
    const resets = this.#resets
    const decided = await this.#decide()
    if (decided === null || resets !== this.#resets) return
    // Nothing has been written since: nothing can have changed that a reading would notice.
    if (decided === this.#decided) this.#advanceDueMs = nowMs + IDLE_EVERY_MS
    this.#decided = decided
    const firsts = await this.#ids.firstIds(this.#startsOf(lanes))
    if (resets !== this.#resets) return
    for (const lease of lanes) {
      const first = firsts.get(lease.lane) ?? decided + 1n
      const id = first < decided + 1n ? first : decided + 1n
      if (id > this.of(lease)) this.#marks.set(lease.lane, { epoch: lease.epoch, id })
    }
    if (nowMs >= this.#keepDueMs) {
      this.#keepDueMs = nowMs + KEEP_EVERY_MS
      await this.#ids.keep(this.#startsOf(lanes))
    }
    if (nowMs >= this.#sweepDueMs) await this.#sweep(lanes)
  }

  /** The id up to which everything is decided, when there is news of it. */
  async #decide(): Promise<bigint | null> {
    const seen = await this.#ids.writers()
    if (this.#before && this.#before.server !== seen.server) this.reset()
    const before = this.#before
    this.#before = seen
    let decided: bigint | null = null
    if (this.#undecided && isDecided(this.#undecided, seen)) {
      decided = this.#undecided.upTo
      this.#undecided = null
    }
    // The id of the look before with the writers of this one: step 1 comes before step 2.
    if (before) {
      const { server, lastId: upTo, position } = before
      this.#undecided ??= { server, upTo, position, writers: seen.open }
    }
    return decided
  }

  /** Looks below the marks, where nothing can be. Whatever is there all the same is read from then on. */
  async #sweep(lanes: readonly HeldLease[]): Promise<void> {
    this.#sweepDueMs = monotonicMs() + SWEEP_EVERY_MS
    const found = await this.#ids.firstIds(lanes.map(lease => ({ ...lease, fromId: 0n })))
    const below = lanes.filter(lease => (found.get(lease.lane) ?? this.of(lease)) < this.of(lease))
    if (below.length === 0) return
    for (const { lane, epoch } of below) this.#marks.set(lane, { epoch, id: 0n })
    await this.#ids.keep(this.#startsOf(below))
    this.#onBelow(below.map(({ lane }) => lane))
  }

  #startsOf(lanes: readonly HeldLease[]): LaneStart[] {
    return lanes.map(lease => ({ ...lease, fromId: this.of(lease) }))
  }
}

function isDecided({ server, writers, position }: Undecided, seen: WritersSeen): boolean {
  if (seen.server !== server || seen.flushed < position) return false
  return [...writers].every(id => !seen.open.has(id))
}
