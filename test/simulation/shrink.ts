import type { FaultKind } from './fault-kinds.ts'
import type { PlanRequest } from './plan.ts'
import { runSeed, type Verdict } from './run-seed.ts'

export interface Shrunk {
  readonly request: PlanRequest
  readonly verdict: Verdict
}

/** Leaves out what the violation does not need: kinds of faults, then the end, then events. */
export async function shrink(request: PlanRequest, found: Verdict): Promise<Shrunk> {
  let best: Shrunk = { request, verdict: found }
  const attempt = async (smaller: PlanRequest) => {
    const verdict = await runSeed(smaller)
    if (nameOf(verdict) !== nameOf(found)) return false
    best = { request: smaller, verdict }
    return true
  }
  const without = new Set<FaultKind>(request.without)
  for (const kind of found.kinds) {
    if (await attempt({ ...best.request, without: new Set([...without, kind]) })) without.add(kind)
  }
  while (best.request.eventsMax > 20) {
    if (!(await attempt({ ...best.request, eventsMax: Math.floor(best.request.eventsMax / 2) })))
      break
  }
  for (let activeMs = best.verdict.virtualMs; activeMs > 500; activeMs *= 0.7) {
    if (!(await attempt({ ...best.request, activeMsMax: activeMs }))) break
  }
  return best
}

function nameOf({ violations }: Verdict): string {
  return violations[0]?.split(':')[0] ?? ''
}
