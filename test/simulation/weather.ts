import type { FaultKind } from './fault-kinds.ts'
import type { Plan } from './plan.ts'
import { type Random, randomStream } from './random.ts'

/** What is wrong at the moment, apart from the parts themselves. Several faults of a kind may overlap. */
export class Weather {
  readonly #plan: Plan
  readonly #random: Random
  readonly #counts = new Map<string, number>()
  /** Replicas whose traffic with the database is held back, and until when. */
  readonly cutOffUntilMs = new Map<string, number>()
  /** Rises each time the connections to the database break. */
  connectionBreaks = 0
  healed = false
  /** Calls that a fault has made slow have ended by then. */
  calmFromMs = 0

  constructor(plan: Plan) {
    this.#plan = plan
    this.#random = randomStream(plan.seed, 'weather')
  }

  begin(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1)
  }

  end(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 1) - 1)
  }

  is(what: string): boolean {
    return (this.#counts.get(what) ?? 0) > 0
  }

  /** Whether a fault that may hit any call hits this one. */
  strikes(kind: FaultKind, share: number): boolean {
    const hit = this.#random() < share
    return hit && !this.healed && this.#plan.kinds.has(kind)
  }

  random(): number {
    return this.#random()
  }

  heal(): void {
    this.healed = true
    this.#counts.clear()
    this.cutOffUntilMs.clear()
  }
}
