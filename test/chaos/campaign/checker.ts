import { Deliveries } from './deliveries.ts'
import { FaultLog } from './fault-log.ts'
import type { CampaignBegan, Happening } from './history.ts'
import { LaneWatch } from './lane-watch.ts'
import { type TimingFacts, Timings } from './timings.ts'
import { type Violation, Violations } from './violations.ts'

export interface FaultFacts {
  readonly count: number
  readonly duplicates: number
  /** Most duplicates that one of them answers for. */
  readonly duplicatesMax: number
}

export interface CampaignVerdict {
  readonly passed: boolean
  readonly seed: number | null
  readonly commit: string | null
  readonly events: {
    readonly committed: number
    readonly published: number
    readonly deadLetters: number
    readonly duplicates: number
    readonly excused: number
    readonly records: number
  }
  readonly faults: number
  /** Pairs of faults that were on at the same time. */
  readonly overlaps: number
  readonly byFault: Readonly<Record<string, FaultFacts>>
  readonly timings: TimingFacts | null
  readonly drainMs: number | null
  readonly violations: readonly Violation[]
}

/** After its end a fault has effects for as long as a batch may be under way, a lease may live, and a retry may wait. */
function settleMsOf({ leaseMs }: CampaignBegan): number {
  return 2 * leaseMs + 2_000
}

/**
 * Judges a history, happening by happening, from what it says alone. One pass; memory for one entry per event.
 */
export class Checker {
  readonly #violations = new Violations()
  readonly #faults = new FaultLog()
  readonly #deliveries = new Deliveries(this.#violations)
  readonly #lanes = new LaneWatch(this.#violations)
  readonly #timings = new Timings(this.#violations, this.#faults)
  #campaign: CampaignBegan | null = null
  #drainMs: number | null = null
  #records = 0

  take(happening: Happening): void {
    if (happening.kind === 'campaign') {
      this.#campaign = happening
      return
    }
    const campaign = this.#campaign
    if (campaign === null) throw new Error('a history begins with its campaign')
    this.#takeOfRun(happening, campaign)
    this.#takeOfEnd(happening, campaign)
  }

  verdict(): CampaignVerdict {
    const campaign = this.#campaign
    if (campaign === null) this.#violations.add('incomplete', 'there is no campaign')
    else if (this.#drainMs === null) this.#violations.add('incomplete', 'it never became quiet')
    const timings = campaign && this.#timings.end(campaign.limits, campaign.leaseMs)
    this.#deliveries.end(campaign?.retention ?? false)
    const { committed, published, deadLetters, duplicates, excused } = this.#deliveries
    const violations = this.#violations.list()
    const records = this.#records
    return {
      passed: violations.length === 0,
      seed: campaign?.seed ?? null,
      commit: campaign?.commit ?? null,
      events: { committed, published, deadLetters, duplicates, excused, records },
      faults: this.#faults.faults.length,
      overlaps: this.#faults.overlaps,
      byFault: this.#byFault(),
      timings,
      drainMs: this.#drainMs,
      violations,
    }
  }

  #takeOfRun(happening: Happening, { limits }: CampaignBegan): void {
    switch (happening.kind) {
      case 'fault_started':
        this.#timings.started(this.#faults.start(happening))
        return
      case 'fault_healed':
        this.#timings.healed(this.#faults.heal(happening))
        return
      case 'replica_exited':
        this.#timings.exited(happening, limits)
        return
      case 'lane_owners':
        this.#timings.owners(happening)
        this.#lanes.owners(happening)
        return
      case 'second':
        this.#timings.second(happening)
        return
      case 'quiet':
        this.#drainMs = happening.drainMs
        if (!happening.drained) {
          this.#violations.add('not_drained', `events still waited after ${happening.drainMs} ms`)
        }
    }
  }

  #takeOfEnd(happening: Happening, campaign: CampaignBegan): void {
    switch (happening.kind) {
      case 'committed':
        this.#deliveries.commit(happening)
        return
      case 'confirmed':
        this.#deliveries.confirm(happening)
        return
      case 'dead':
        this.#deliveries.bury(happening)
        return
      case 'waiting':
        this.#deliveries.wait(happening)
        return
      case 'lane_left':
        this.#violations.add('lane_left', `lane ${happening.lane} of ${happening.owner}`)
        return
      case 'record': {
        this.#records++
        this.#timings.record(happening.timestampMs)
        const partitions = campaign.partitions[happening.topic] ?? 1
        this.#deliveries.deliver(happening, partitions, this.#faults, settleMsOf(campaign))
      }
    }
  }

  #byFault(): Record<string, FaultFacts> {
    const facts: Record<string, FaultFacts> = {}
    for (const { fault, duplicates } of this.#faults.faults) {
      const known = facts[fault] ?? { count: 0, duplicates: 0, duplicatesMax: 0 }
      facts[fault] = {
        count: known.count + 1,
        duplicates: known.duplicates + duplicates,
        duplicatesMax: Math.max(known.duplicatesMax, duplicates),
      }
    }
    return facts
  }
}

/** `Checker` in one call. */
export async function check(
  happenings: Iterable<Happening> | AsyncIterable<Happening>,
): Promise<CampaignVerdict> {
  const checker = new Checker()
  for await (const happening of happenings) checker.take(happening)
  return checker.verdict()
}
