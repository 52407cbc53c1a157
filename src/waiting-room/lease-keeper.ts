import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import type { ClaimedTask, TaskStore } from './task-store.ts'

export interface LeaseBounds {
  readonly leaseMs: number
  /** Past it the lease is left to run out, whatever the work does. */
  readonly durationMsMax: number
  /** The claim is another's, or nobody's. */
  readonly onLost: () => void
}

/** Settles as `work` does, and prolongs the task's lease until then. */
export async function withLease<T>(
  store: TaskStore,
  task: ClaimedTask,
  bounds: LeaseBounds,
  work: () => Promise<T>,
): Promise<T> {
  const settled = new AbortController()
  const keeping = keep(store, task, bounds, settled.signal)
  try {
    return await work()
  } finally {
    settled.abort()
    await keeping
  }
}

/** Three tries fit into a lease, so that a single failure costs nothing. */
async function keep(
  store: TaskStore,
  task: ClaimedTask,
  { leaseMs, durationMsMax, onLost }: LeaseBounds,
  settled: AbortSignal,
): Promise<void> {
  const endMs = monotonicMs() + durationMsMax
  for (;;) {
    await pause(leaseMs / 3, settled)
    if (settled.aborted || monotonicMs() >= endMs) return
    try {
      if (await store.renew(task, leaseMs)) continue
    } catch {
      // The fence at the work's end decides; the database's fault is told by whatever else meets it.
      continue
    }
    if (!settled.aborted) onLost()
    return
  }
}
