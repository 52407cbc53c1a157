import type { LaneOwners } from './history.ts'
import type { Violations } from './violations.ts'

/** A lane that comes to an owner, even to one that had it before, must come with a higher epoch. */
export class LaneWatch {
  readonly #violations: Violations
  readonly #seen = new Map<number, { readonly owner: string | null; readonly epoch: bigint }>()

  constructor(violations: Violations) {
    this.#violations = violations
  }

  owners({ changed, atMs }: LaneOwners): void {
    for (const [lane, owner, epochText] of changed) {
      const epoch = BigInt(epochText)
      const before = this.#seen.get(lane)
      this.#seen.set(lane, { owner, epoch })
      if (before === undefined || owner === null || owner === before.owner) continue
      if (epoch > before.epoch) continue
      const at = new Date(atMs).toISOString()
      this.#violations.add(
        'epoch_not_raised',
        `lane ${lane} came to ${owner} at ${at}, epoch ${epoch}`,
      )
    }
  }
}
