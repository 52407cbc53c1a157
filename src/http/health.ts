/** What the daemon knows of itself. All times are monotonic (`monotonicMs()`). */
export interface HealthFacts {
  readonly started: boolean
  readonly stopping: boolean
  readonly loops: readonly { readonly name: string; readonly lastTurnAtMs: number }[]
  readonly lastReserveOkAtMs: number | null
  readonly lastPublishOkAtMs: number | null
  /** Age of the oldest event that is due; null when none waits, or nobody has looked yet. */
  readonly oldestWaitingAgeSeconds: number | null
  readonly breakersOpen: readonly string[]
  readonly nowMs: number
  /** What takes longer than this has stopped; it must exceed the longest wait with a deadline. */
  readonly stalledAfterMs: number
}

export interface HealthCheck {
  readonly name: string
  readonly ok: boolean
  readonly text: string
}

export interface Health {
  readonly live: boolean
  readonly ready: boolean
  readonly checks: readonly HealthCheck[]
}

/**
 * Live: the loops turn; neither Kafka nor PostgreSQL being away makes a restart useful. Ready: work makes
 * progress, or waits for Kafka behind an open breaker, which no restart can help either.
 */
export function judgeHealth(facts: HealthFacts): Health {
  const loops = facts.loops.map(loop => checkLoop(loop, facts))
  const rest = [checkLifecycle(facts), checkReserve(facts), checkProgress(facts)]
  const live = loops.every(check => check.ok)
  return { live, ready: live && rest.every(check => check.ok), checks: [...loops, ...rest] }
}

function checkLoop(loop: HealthFacts['loops'][number], facts: HealthFacts): HealthCheck {
  const idleMs = facts.nowMs - loop.lastTurnAtMs
  return {
    name: `loop ${loop.name}`,
    ok: idleMs <= facts.stalledAfterMs,
    text: `last turn ${ago(idleMs)}`,
  }
}

function checkLifecycle({ started, stopping }: HealthFacts): HealthCheck {
  const text = stopping ? 'stopping' : started ? 'running' : 'starting'
  return { name: 'lifecycle', ok: started && !stopping, text }
}

function checkReserve({ lastReserveOkAtMs, nowMs, stalledAfterMs }: HealthFacts): HealthCheck {
  const name = 'reserve'
  if (lastReserveOkAtMs === null) return { name, ok: false, text: 'no reservation yet' }
  const idleMs = nowMs - lastReserveOkAtMs
  return { name, ok: idleMs <= stalledAfterMs, text: `last success ${ago(idleMs)}` }
}

function checkProgress(facts: HealthFacts): HealthCheck {
  const { breakersOpen, lastPublishOkAtMs, nowMs, oldestWaitingAgeSeconds, stalledAfterMs } = facts
  const name = 'publish'
  if (breakersOpen.length > 0) {
    return { name, ok: true, text: `degraded: breaker open for ${breakersOpen.join(', ')}` }
  }
  const last =
    lastPublishOkAtMs === null ? 'nothing published yet' : `last ${ago(nowMs - lastPublishOkAtMs)}`
  const waitingMs = (oldestWaitingAgeSeconds ?? 0) * 1_000
  const silent = lastPublishOkAtMs === null || nowMs - lastPublishOkAtMs > stalledAfterMs
  if (silent && waitingMs > stalledAfterMs) {
    return { name, ok: false, text: `events wait for ${seconds(waitingMs)} and none goes; ${last}` }
  }
  return { name, ok: true, text: last }
}

function ago(durationMs: number): string {
  return `${seconds(durationMs)} ago`
}

function seconds(durationMs: number): string {
  return `${(Math.max(0, durationMs) / 1_000).toFixed(1)} s`
}
