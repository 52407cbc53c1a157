import { duplicatesOf } from './checker.ts'
import type { FaultKind } from './fault-kinds.ts'
import { type PlanRequest, planOf } from './plan.ts'
import { installVirtualTime, type VirtualTime } from './virtual-time.ts'
import { World } from './world.ts'

export interface Verdict {
  readonly seed: number
  readonly kinds: readonly FaultKind[]
  /** The first is what went wrong; the others may follow from it. */
  readonly violations: readonly string[]
  readonly events: number
  readonly duplicates: number
  readonly faults: ReadonlyMap<string, number>
  readonly steps: number
  readonly virtualMs: number
  readonly fingerprint: string
  readonly history: (count?: number) => string[]
}

let clock: VirtualTime | null = null
let installed = false

/** Runs one seed from its beginning to its end. One at a time: the process has only one clock. */
export async function runSeed(request: PlanRequest): Promise<Verdict> {
  const world = new World(planOf(request))
  clock = world.time
  if (!installed) {
    installed = true
    installVirtualTime(() => clock!)
  }
  await world.run()
  const { ledger, time, history, plan } = world
  return {
    seed: request.seed,
    kinds: [...plan.kinds],
    violations: ledger.violations,
    events: [...ledger.events.values()].filter(({ status }) => status === 'committed').length,
    duplicates: duplicatesOf(ledger),
    faults: ledger.faults,
    steps: time.steps,
    virtualMs: time.elapsedMs,
    fingerprint: history.fingerprint,
    history: count => history.lines(count),
  }
}
