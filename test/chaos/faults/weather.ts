import type { Bites, Direction, LastingFault } from './fault-proxy.ts'

/** One of the two ways through a proxy. */
export type Way = Exclude<Direction, 'both'>

interface Lasting {
  latency?: { readonly ms: number; readonly jitterMs: number; readonly direction: Direction }
  blackHole?: { readonly direction: Direction }
  refuse?: { readonly how: 'reset' | 'end' }
  slow?: { readonly bytesPerSecond: number }
}

/** The lasting faults of one proxy, and what they have met. Shared by all its connections. */
export class Weather {
  readonly bites: Bites = {
    latency: 0,
    blackHole: 0,
    reset: 0,
    refuse: 0,
    slow: 0,
    swallow: 0,
    drop: 0,
    hold: 0,
    late: 0,
  }
  readonly #lasting: Lasting = {}
  readonly #waiting = new Set<() => void>()

  get active(): LastingFault[] {
    return Object.keys(this.#lasting) as LastingFault[]
  }

  get refusal(): 'reset' | 'end' | undefined {
    return this.#lasting.refuse?.how
  }

  get bytesPerSecond(): number | undefined {
    return this.#lasting.slow?.bytesPerSecond
  }

  set<F extends LastingFault>(fault: F, value: NonNullable<Lasting[F]>): void {
    this.#lasting[fault] = value
    this.wake()
  }

  /** Without a name: all. */
  clear(faults: readonly LastingFault[]): void {
    for (const fault of faults.length > 0 ? faults : this.active) delete this.#lasting[fault]
    this.wake()
  }

  isBlack(way: Way): boolean {
    return covers(this.#lasting.blackHole?.direction, way)
  }

  /** Of one piece of traffic; undefined when there is none. */
  delayMs(way: Way): number | undefined {
    const { latency } = this.#lasting
    if (!latency || !covers(latency.direction, way)) return undefined
    return Math.max(0, latency.ms + (Math.random() * 2 - 1) * latency.jitterMs)
  }

  /** Whether a piece of traffic may pass at once. */
  isClear(way: Way): boolean {
    const { latency, slow } = this.#lasting
    return !slow && !this.isBlack(way) && !covers(latency?.direction, way)
  }

  /** Resolves when a fault was set or healed, or a waiter is to look again, at the latest after `waitMs`. */
  changed(waitMs?: number): Promise<void> {
    return new Promise(settle => {
      const timer = waitMs === undefined ? undefined : setTimeout(done, waitMs)
      const waiting = this.#waiting
      waiting.add(done)
      function done() {
        clearTimeout(timer)
        waiting.delete(done)
        settle()
      }
    })
  }

  wake(): void {
    for (const done of [...this.#waiting]) done()
  }
}

function covers(direction: Direction | undefined, way: Way): boolean {
  return direction === 'both' || direction === way
}
