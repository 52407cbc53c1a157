import { Fifo } from '../internal/fifo.ts'

interface Waiting {
  enter(): void
  left: boolean
}

/** Places for so many at once; who finds none waits in line. */
export class Room {
  readonly #max: number
  readonly #waiting = new Fifo<Waiting>()
  #taken = 0

  constructor(max: number) {
    this.#max = max
  }

  get taken(): number {
    return this.#taken
  }

  /** @returns whether there was a place in time; then the caller owes a `leave` */
  enter(timeoutMs: number): Promise<boolean> | true {
    if (this.#taken < this.#max) {
      this.#taken++
      return true
    }
    return new Promise(settle => {
      const waiting = {
        left: false,
        enter: () => {
          clearTimeout(timer)
          settle(true)
        },
      }
      const timer = setTimeout(
        () => {
          waiting.left = true
          settle(false)
        },
        Math.max(0, timeoutMs),
      )
      this.#waiting.push(waiting)
    })
  }

  /** The place goes to the first in line. */
  leave(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (next.left) continue
      next.enter()
      return
    }
    this.#taken--
  }
}
