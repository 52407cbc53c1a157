import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'

/** The pause after the first reading that finds nothing. */
const PAUSE_MS_MIN = 4

/**
 * When to read next. While events come, at once; then after growing pauses, so that an idle relay costs little. Its
 * waits end early when a reservation frees its lanes, since a reading may have found nothing only for that.
 */
export class Pace {
  readonly #pauseMsMax: number
  readonly #drain: AbortSignal
  readonly #sleep: (durationMs: number, signal: AbortSignal) => Promise<void>
  #pauseMs = 0
  #nextReadMs = 0
  #wake = new AbortController()

  /**
   * @param drain ends every wait
   * @param sleep waits until then, or until there is a reason to read sooner
   */
  constructor(pauseMsMax: number, drain: AbortSignal, sleep = pause) {
    this.#pauseMsMax = pauseMsMax
    this.#drain = drain
    this.#sleep = sleep
    // Not AbortSignal.any: made anew for each wait, it would pile up on a signal that lives as long as the process.
    drain.addEventListener('abort', () => this.#wake.abort(), { once: true })
  }

  async nextTurn(): Promise<void> {
    const leftMs = this.#nextReadMs - monotonicMs()
    if (leftMs <= 0 || this.#drain.aborted) return
    this.#wake = new AbortController()
    await this.#sleep(leftMs, this.#wake.signal)
  }

  /** Tells what the reading found: full lanes are read again at once. */
  found(events: number): void {
    if (events > 0) this.#pauseMs = 0
    else this.#pauseMs = Math.min(this.#pauseMsMax, Math.max(PAUSE_MS_MIN, this.#pauseMs * 1.5))
    this.#nextReadMs = monotonicMs() + this.#pauseMs
  }

  lanesFreed(): void {
    this.#nextReadMs = Math.min(this.#nextReadMs, monotonicMs() + PAUSE_MS_MIN)
    this.#wake.abort()
  }
}
