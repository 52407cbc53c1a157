import { until } from '../../support/until.ts'

/** A planned fault in force. */
export interface Planned {
  /** How often it has bitten. */
  readonly bitten: number
  /** Resolves at the `times`-th bite, default the first. @throws after `deadlineMs` */
  bites(options: { times?: number; deadlineMs: number }): Promise<void>
  /** It meets no more requests; what it has met already goes on. */
  cancel(): void
}

/** Which of the matching requests a plan meets. */
export interface PlanOptions {
  /** How many are met before the plan is used up. Default 1. */
  readonly count?: number
  /** 3 meets the third, sixth, … matching request. Default 1. */
  readonly every?: number
}

/** Counts the requests of one planned fault. */
export class Plan implements Planned {
  readonly #what: string
  readonly #every: number
  #left: number
  #seen = 0
  #bitten = 0
  #cancelled = false

  /** @param what names the fault in errors */
  constructor(what: string, { count = 1, every = 1 }: PlanOptions) {
    this.#what = what
    this.#left = count
    this.#every = every
  }

  get bitten(): number {
    return this.#bitten
  }

  /** For each matching request: whether it is met. Then the caller owes `bite` or `giveBack`. */
  take(): boolean {
    if (this.#left === 0 || ++this.#seen % this.#every !== 0) return false
    this.#left--
    return true
  }

  bite(): void {
    this.#bitten++
  }

  /** The connection broke before the fault could do its work. */
  giveBack(): void {
    if (!this.#cancelled) this.#left++
  }

  cancel(): void {
    this.#cancelled = true
    this.#left = 0
  }

  bites({ times = 1, deadlineMs }: { times?: number; deadlineMs: number }): Promise<void> {
    return until(() => this.#bitten >= times, { deadlineMs, what: `${this.#what} bites ${times}×` })
  }
}
