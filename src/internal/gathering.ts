import { SluiceError } from '../errors.ts'
import { Fifo } from './fifo.ts'

export interface GatheringOptions<T, R> {
  /** Named in errors. */
  readonly what: string
  /**
   * Does the work of a batch. What it resolves to stands in the items' order; an Error there is that item's alone, a
   * rejection that of all.
   */
  readonly run: (items: readonly T[]) => Promise<readonly (R | Error)[]>
  /** Items of one batch, at most. */
  readonly batchMax: number
  /** Batches in work at once, at most. */
  readonly batchesMax: number
  /** Items that wait for a batch, at most. */
  readonly waitingMax: number
  /** What is thrown to those beyond. */
  readonly onFull: () => Error
}

interface Waiting<T, R> {
  readonly item: T
  readonly resolve: (result: R) => void
  readonly reject: (error: unknown) => void
}

/** Puts together what many ask for one by one: what comes while batches are in work becomes the next one. */
export class Gathering<T, R> {
  readonly #options: GatheringOptions<T, R>
  readonly #waiting = new Fifo<Waiting<T, R>>()
  readonly #batches = new Set<Promise<void>>()
  #inWork = 0
  #isDue = false
  #stopped = false

  constructor(options: GatheringOptions<T, R>) {
    this.#options = options
  }

  /** Nobody waits, and no batch is in work. */
  get idle(): boolean {
    return this.#waiting.size === 0 && this.#inWork === 0
  }

  /** @throws what `onFull` makes; SluiceError `lifecycle`: stopped; what the batch comes to */
  add(item: T): Promise<R> {
    const { waitingMax, onFull } = this.#options
    if (this.#stopped) return Promise.reject(this.#ended())
    if (this.#waiting.size >= waitingMax) return Promise.reject(onFull())
    return new Promise<R>((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      this.#schedule()
    })
  }

  /** Refuses those who wait; resolves when the batches in work are done. Never rejects. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (let one = this.#waiting.shift(); one; one = this.#waiting.shift()) {
      one.reject(this.#ended())
    }
    await Promise.all(this.#batches)
  }

  /** Once the event loop has handed out all that has come, so that a burst becomes one batch. */
  #schedule(): void {
    if (this.#isDue || this.#inWork >= this.#options.batchesMax) return
    this.#isDue = true
    setImmediate(() => {
      this.#isDue = false
      this.#start()
    })
  }

  #start(): void {
    const { batchMax, batchesMax } = this.#options
    while (this.#waiting.size > 0 && this.#inWork < batchesMax) {
      const batch: Waiting<T, R>[] = []
      while (batch.length < batchMax) {
        const next = this.#waiting.shift()
        if (!next) break
        batch.push(next)
      }
      const running = this.#run(batch).finally(() => this.#batches.delete(running))
      this.#batches.add(running)
    }
  }

  async #run(batch: readonly Waiting<T, R>[]): Promise<void> {
    this.#inWork++
    let results: readonly (R | Error)[] = []
    let failure: unknown
    try {
      results = await this.#options.run(batch.map(({ item }) => item))
      if (results.length !== batch.length) failure = new Error(`${this.#options.what}: torn result`)
    } catch (error) {
      failure = error ?? new Error(`${this.#options.what} failed`)
    }
    this.#inWork--
    batch.forEach(({ resolve, reject }, index) => {
      const result = failure ?? results[index]
      if (failure !== undefined || result instanceof Error) reject(result)
      else resolve(result as R)
    })
    this.#start()
  }

  #ended(): SluiceError {
    return new SluiceError('lifecycle', `${this.#options.what}: stopped`)
  }
}
