import { pause } from '../internal/pause.ts'

/** How far behind its schedule a pacer may catch up; a longer stall is not made good. */
const BURST_MS = 100

/** Spreads work evenly over time. */
export class Pacer {
  readonly #unitMs: number
  #nextAtMs = 0

  /** @param ratePerSecond undefined: never waits */
  constructor(ratePerSecond: number | undefined) {
    this.#unitMs = ratePerSecond === undefined ? 0 : 1_000 / ratePerSecond
  }

  /** Waits until `units` more are due, or the signal is aborted. */
  async take(units: number, signal: AbortSignal): Promise<void> {
    if (this.#unitMs === 0) return
    const nowMs = performance.now()
    const dueAtMs = Math.max(this.#nextAtMs, nowMs - BURST_MS)
    this.#nextAtMs = dueAtMs + units * this.#unitMs
    await pause(dueAtMs - nowMs, signal)
  }
}
