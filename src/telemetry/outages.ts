import { monotonicMs } from '../internal/monotonic.ts'

export interface OutageFacts {
  /** Failures since the outage began. */
  readonly failures: number
  readonly outageMs: number
}

interface Outage {
  readonly beganAtMs: number
  saidAtMs: number
  failures: number
}

/** So many outages are told apart; beyond it they share one. */
const OUTAGES_MAX = 200

/** Decides which of many like failures is worth a line: the first, one a minute, and the end. */
export class Outages {
  readonly #open = new Map<string, Outage>()
  readonly #clock: () => number
  readonly #repeatMs: number

  constructor(clock: () => number = monotonicMs, repeatMs = 60_000) {
    this.#clock = clock
    this.#repeatMs = repeatMs
  }

  /** @returns what to say about this failure, or null when enough has been said */
  fail(name: string): OutageFacts | null {
    const nowMs = this.#clock()
    const key = this.#open.has(name) || this.#open.size < OUTAGES_MAX ? name : 'other'
    const outage = this.#open.get(key)
    if (outage === undefined) {
      this.#open.set(key, { beganAtMs: nowMs, saidAtMs: nowMs, failures: 1 })
      return { failures: 1, outageMs: 0 }
    }
    outage.failures += 1
    if (nowMs - outage.saidAtMs < this.#repeatMs) return null
    outage.saidAtMs = nowMs
    return { failures: outage.failures, outageMs: Math.round(nowMs - outage.beganAtMs) }
  }

  /** @returns what to say about the end, or null when there was no outage */
  end(name: string): OutageFacts | null {
    const outage = this.#open.get(name)
    if (outage === undefined) return null
    this.#open.delete(name)
    return { failures: outage.failures, outageMs: Math.round(this.#clock() - outage.beganAtMs) }
  }
}
