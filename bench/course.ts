/** What handling a number of events took, from the first one that arrived. */
export interface Pace {
  readonly eventsPerSecond: number
  /** Of this process, user and system, all threads. */
  readonly cpuMicrosPerEvent: number
}

const STALL_MS = 30_000

/** A stretch of so many events; whoever handles them says so. */
export class Course {
  readonly #events: number
  #done = 0
  #startedAtMs = 0
  #cpu: NodeJS.CpuUsage = { user: 0, system: 0 }
  #seen = -1
  #pace: Pace | null = null
  #ended: () => void = () => {}

  constructor(events: number) {
    this.#events = events
  }

  /** The first ones are here. What is called later changes nothing. */
  begin(): void {
    if (this.#startedAtMs > 0) return
    this.#startedAtMs = performance.now()
    this.#cpu = process.cpuUsage()
  }

  /** So many more are finished. */
  note(events: number): void {
    this.#done += events
    if (this.#done < this.#events || this.#pace !== null) return
    const seconds = (performance.now() - this.#startedAtMs) / 1_000
    const { user, system } = process.cpuUsage(this.#cpu)
    this.#pace = {
      eventsPerSecond: this.#events / seconds,
      cpuMicrosPerEvent: (user + system) / this.#events,
    }
    this.#ended()
  }

  /** Resolves when all are finished; rejects when 30 s pass without one. */
  async finished(): Promise<Pace> {
    while (this.#pace === null) {
      if (this.#seen === this.#done) {
        throw new Error(`${this.#done} of ${this.#events} events, and none more for 30 s`)
      }
      this.#seen = this.#done
      await this.#endOrStall()
    }
    return this.#pace
  }

  async #endOrStall(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>(resolve => {
      this.#ended = resolve
      timer = setTimeout(resolve, STALL_MS)
    })
    clearTimeout(timer)
  }
}
