import type { FaultLog, LoggedFault } from './fault-log.ts'
import type { LaneOwners, Limits, ReplicaExited, Second } from './history.ts'
import type { Violations } from './violations.ts'

/** Faults whose end is the end of an outage: publishing must begin again at once. */
const OUTAGES = new Set([
  'broker_killed',
  'broker_frozen',
  'kafka_black_hole',
  'postgres_restarted',
  'postgres_crashed',
  'postgres_frozen',
  'postgres_black_hole',
])

/** Effects of a fault that has ended are over by then, as far as the times of others go. */
const AFTERMATH_MS = 3_000

export interface Spread {
  readonly count: number
  readonly p50Ms: number | null
  readonly p99Ms: number | null
  readonly maxMs: number | null
}

export interface TimingFacts {
  /** SIGKILL to the moment when others had its lanes; only those that no other fault disturbed. */
  readonly takeover: Spread
  readonly takeoverDisturbed: Spread
  readonly recovery: Spread
  readonly recoveryDisturbed: Spread
  readonly stop: Spread
  readonly rssMaxBytes: number
}

/** How fast the fleet came back, how fast it stopped, and how much memory it took. */
export class Timings {
  readonly #violations: Violations
  readonly #faults: FaultLog
  /** Killed replicas that still own lanes. */
  readonly #orphaned = new Map<string, LoggedFault>()
  readonly #takeovers: { fault: LoggedFault; ms: number }[] = []
  readonly #heals: { fault: LoggedFault; firstRecordMs: number }[] = []
  readonly #stops: number[] = []
  #rssMaxBytes = 0

  constructor(violations: Violations, faults: FaultLog) {
    this.#violations = violations
    this.#faults = faults
  }

  started(fault: LoggedFault): void {
    if (fault.fault === 'replica_killed') this.#orphaned.set(fault.target, fault)
  }

  healed(fault: LoggedFault | null): void {
    if (fault && OUTAGES.has(fault.fault)) {
      this.#heals.push({ fault, firstRecordMs: Number.POSITIVE_INFINITY })
    }
  }

  owners({ owners, atMs }: LaneOwners): void {
    for (const [replica, fault] of this.#orphaned) {
      if (owners[replica]) continue
      this.#orphaned.delete(replica)
      this.#takeovers.push({ fault, ms: atMs - fault.startMs })
    }
  }

  exited({ replica, asked, askedAtMs, atMs, how }: ReplicaExited, limits: Limits): void {
    if (asked === null) this.#violations.add('bad_exit', `${replica} ended with ${how}, unasked`)
    if (asked !== 'SIGTERM' || askedAtMs === null) return
    const ms = atMs - askedAtMs
    this.#stops.push(ms)
    if (how !== 0) this.#violations.add('bad_exit', `${replica} ended with ${how} after SIGTERM`)
    if (ms > limits.stopMs) this.#violations.add('slow_stop', `${replica} took ${ms} ms`)
  }

  second({ rssBytes }: Second): void {
    for (const bytes of Object.values(rssBytes)) {
      this.#rssMaxBytes = Math.max(this.#rssMaxBytes, bytes)
    }
  }

  /** Records come in the order of partitions, not of time. */
  record(timestampMs: number): void {
    // The heals are few, and in order: each record belongs to the last one before it.
    for (let index = this.#heals.length - 1; index >= 0; index--) {
      const heal = this.#heals[index]!
      if (heal.fault.healMs > timestampMs) continue
      heal.firstRecordMs = Math.min(heal.firstRecordMs, timestampMs)
      return
    }
  }

  end(limits: Limits, leaseMs: number): TimingFacts {
    for (const [replica, { startMs }] of this.#orphaned) {
      const at = new Date(startMs).toISOString()
      this.#violations.add('slow_takeover', `${replica}, killed at ${at}, owns lanes to the end`)
    }
    const takeover = this.#judge(
      'slow_takeover',
      this.#takeovers,
      leaseMs + limits.takeoverBeyondLeaseMs,
    )
    const recovery = this.#judge('slow_recovery', this.#recoveries(), limits.recoveryMs)
    return {
      takeover: spreadOf(takeover.undisturbed),
      takeoverDisturbed: spreadOf(takeover.disturbed),
      recovery: spreadOf(recovery.undisturbed),
      recoveryDisturbed: spreadOf(recovery.disturbed),
      stop: spreadOf(this.#stops),
      rssMaxBytes: this.#rssMaxBytes,
    }
  }

  #recoveries(): { fault: LoggedFault; ms: number }[] {
    let firstMs = Number.POSITIVE_INFINITY
    const found: { fault: LoggedFault; ms: number }[] = []
    for (const { fault, firstRecordMs } of this.#heals.toReversed()) {
      firstMs = Math.min(firstMs, firstRecordMs)
      // With nothing left to publish there is nothing to recover.
      if (firstMs < Number.POSITIVE_INFINITY) found.push({ fault, ms: firstMs - fault.healMs })
    }
    return found.reverse()
  }

  #judge(
    rule: 'slow_takeover' | 'slow_recovery',
    measured: readonly { fault: LoggedFault; ms: number }[],
    limitMs: number,
  ) {
    const undisturbed: number[] = []
    const disturbed: number[] = []
    for (const { fault, ms } of measured) {
      const fromMs = rule === 'slow_takeover' ? fault.startMs : fault.healMs
      const others = this.#faults.during(fromMs, fromMs + ms, AFTERMATH_MS, fault)
      if (others.length > 0) disturbed.push(ms)
      else {
        undisturbed.push(ms)
        if (ms > limitMs) {
          const at = new Date(fromMs).toISOString()
          this.#violations.add(rule, `${ms} ms after ${fault.fault} of ${fault.target} at ${at}`)
        }
      }
    }
    return { undisturbed, disturbed }
  }
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null
  return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: sorted.at(-1) ?? null }
}
