import type { FaultHealed, FaultStarted } from './history.ts'

export interface LoggedFault {
  readonly id: number
  readonly fault: string
  readonly target: string
  readonly startMs: number
  /** Infinite while it lasts. */
  healMs: number
  /** Events that were published again around it, and for which no later fault answers. */
  duplicates: number
}

/**
 * Faults that leave an answer unknown, and so may have events sent twice. A stop in good order, a held xmin and a
 * refusal by the broker leave none.
 */
const EXCUSING = new Set([
  'replica_killed',
  'replica_paused',
  'thread_killed',
  'broker_killed',
  'broker_frozen',
  'leaders_moved',
  'kafka_reset',
  'kafka_black_hole',
  'kafka_slow',
  'kafka_late',
  'kafka_answers_swallowed',
  'kafka_requests_held',
  'postgres_reset',
  'postgres_black_hole',
  'postgres_slow',
  'postgres_answers_swallowed',
  'backends_terminated',
  'postgres_restarted',
  'postgres_crashed',
  'postgres_frozen',
])

/** The faults of a campaign, in the order of their starts. */
export class FaultLog {
  readonly faults: LoggedFault[] = []
  readonly #open = new Map<number, LoggedFault>()
  /** Pairs of faults that were on at the same time. */
  overlaps = 0

  start({ id, fault, target, atMs }: FaultStarted): LoggedFault {
    const healMs = Number.POSITIVE_INFINITY
    const logged = { id, fault, target, startMs: atMs, healMs, duplicates: 0 }
    this.overlaps += this.#open.size
    // A blow may take its time, and others may fall and be told meanwhile.
    this.faults.splice(this.#startedBefore(atMs) + 1, 0, logged)
    this.#open.set(id, logged)
    return logged
  }

  heal({ id, atMs }: FaultHealed): LoggedFault | null {
    const fault = this.#open.get(id) ?? null
    if (fault) fault.healMs = atMs
    this.#open.delete(id)
    return fault
  }

  /**
   * The latest fault that may have made somebody send again what was first sent at one time and again at another.
   * @param settleMs how long after its end a fault still has effects
   */
  causeOf(firstMs: number, againMs: number, settleMs: number): LoggedFault | null {
    for (let index = this.#startedBefore(againMs); index >= 0; index--) {
      const fault = this.faults[index] as LoggedFault
      if (EXCUSING.has(fault.fault) && fault.healMs + settleMs >= firstMs) return fault
    }
    return null
  }

  /** Other faults that were on at some moment of this time. */
  during(fromMs: number, toMs: number, settleMs: number, except: LoggedFault): LoggedFault[] {
    const found: LoggedFault[] = []
    for (let index = this.#startedBefore(toMs); index >= 0; index--) {
      const fault = this.faults[index] as LoggedFault
      if (fault !== except && fault.healMs + settleMs >= fromMs) found.push(fault)
    }
    return found
  }

  /** Index of the last fault that had started by then; −1 for none. */
  #startedBefore(atMs: number): number {
    let low = 0
    let high = this.faults.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.faults[middle] as LoggedFault).startMs <= atMs) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}
