/** What a history can be guilty of; each rule's meaning stands where it is judged. */
export type Rule =
  | 'lost'
  | 'phantom'
  | 'mutated'
  | 'out_of_order'
  | 'wrong_partition'
  | 'early'
  | 'duplicate_without_fault'
  | 'wrong_dead_letter'
  | 'published_and_dead'
  | 'false_confirm'
  | 'attempt_spent'
  | 'stuck'
  | 'not_drained'
  | 'lane_left'
  | 'epoch_not_raised'
  | 'slow_takeover'
  | 'slow_recovery'
  | 'slow_stop'
  | 'bad_exit'
  | 'incomplete'

export interface Violation<R extends string = Rule> {
  readonly rule: R
  readonly count: number
  /** The first few, for whoever looks for the cause. */
  readonly examples: readonly string[]
}

const EXAMPLES_MAX = 8

/** Counts what was found, and keeps a few of each kind to look at. */
export class Violations<R extends string = Rule> {
  readonly #found = new Map<R, { count: number; examples: string[] }>()

  add(rule: R, example: string): void {
    const found = this.#found.get(rule) ?? { count: 0, examples: [] }
    found.count++
    if (found.examples.length < EXAMPLES_MAX) found.examples.push(example)
    this.#found.set(rule, found)
  }

  list(): Violation<R>[] {
    return [...this.#found].map(([rule, found]) => ({ rule, ...found }))
  }
}
