/** Counts what a session has in flight, and tells when a retired one has nothing left. */
export class InFlight {
  /** Resolves once the session is retired and the last request has ended. */
  readonly drained: Promise<void>
  #count = 0
  #retired = false
  #drain: () => void = () => {}

  constructor() {
    this.drained = new Promise(resolve => {
      this.#drain = resolve
    })
  }

  get retired(): boolean {
    return this.#retired
  }

  track<T>(work: Promise<T>): Promise<T> {
    this.#count++
    const ended = () => {
      this.#count--
      if (this.#retired && this.#count === 0) this.#drain()
    }
    work.then(ended, ended)
    return work
  }

  retire(): void {
    this.#retired = true
    if (this.#count === 0) this.#drain()
  }
}
