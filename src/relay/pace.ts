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
  #pauseMs = 0
  #nextReadMs = 0
  #wake = new AbortController()

  constructor(pauseMsMax: number) {
    this.#pauseMsMax = pauseMsMax
  }

  async nextTurn(drain: AbortSignal): Promise<void> {
    const leftMs = this.#nextReadMs - monotonicMs()
    if (leftMs <= 0) return
    this.#wake = new AbortController()
    await pause(leftMs, AbortSignal.any([drain, this.#wake.signal]))
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
