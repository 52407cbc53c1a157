const SLOT_MS = 1_000
/** Neighbouring buckets differ by this factor: a quantile is off by at most about 5 per cent. */
const GROWTH = 1.1
const LOWEST_MS = 0.1
/** 0.1 ms to about 100 s; what is longer counts as the longest. */
const BUCKETS = 146

interface Slot {
  second: number
  readonly counts: Uint32Array
}

/** Quantiles of the last few seconds in constant memory: one histogram per second, in a ring. */
export class LatencyWindow {
  readonly #slots: Slot[]

  constructor(seconds: number) {
    this.#slots = Array.from({ length: seconds }, () => ({
      second: -1,
      counts: new Uint32Array(BUCKETS),
    }))
  }

  /** @param nowMs any clock that does not go back, the same in all calls */
  record(latencyMs: number, nowMs: number): void {
    const second = Math.floor(nowMs / SLOT_MS)
    const slot = this.#slots[second % this.#slots.length] as Slot
    if (slot.second !== second) {
      slot.second = second
      slot.counts.fill(0)
    }
    const bucket = bucketOf(latencyMs)
    slot.counts[bucket] = (slot.counts[bucket] ?? 0) + 1
  }

  /**
   * @param share 0.5 for the median
   * @returns milliseconds, rounded up to its bucket's end; null when the window is empty
   */
  quantile(share: number, nowMs: number): number | null {
    const oldest = Math.floor(nowMs / SLOT_MS) - this.#slots.length
    const live = this.#slots.filter(slot => slot.second > oldest)
    const total = live.reduce((sum, slot) => sum + slot.counts.reduce((a, b) => a + b, 0), 0)
    if (total === 0) return null
    let left = Math.ceil(total * share)
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      for (const slot of live) left -= slot.counts[bucket] ?? 0
      if (left <= 0) return LOWEST_MS * GROWTH ** bucket
    }
    return LOWEST_MS * GROWTH ** BUCKETS
  }
}

function bucketOf(latencyMs: number): number {
  const bucket = Math.ceil(Math.log(Math.max(latencyMs, LOWEST_MS) / LOWEST_MS) / Math.log(GROWTH))
  return Math.min(bucket, BUCKETS - 1)
}
