import PQueue from 'p-queue'
import { Condition } from '../internal/condition.ts'
import { Fifo } from '../internal/fifo.ts'
import type { PartitionWork } from './partition-work.ts'

export interface DispatcherParts {
  /** Jobs in work at once. */
  readonly concurrency: number
  /** One job of a partition at a time. */
  readonly oneEach: boolean
  /** How many jobs may be in work now, of `concurrency`. */
  readonly allowance: (concurrency: number) => number
  /** Paused for a reason that concerns what is queued, too. */
  readonly stands: (work: PartitionWork) => boolean
  /** Begins one job of a partition that has something ready; takes it off the queue at once. Never rejects. */
  readonly perform: (work: PartitionWork) => Promise<void>
}

/** Hands jobs to workers, one partition after the other, so that none waits for a long queue of another one. */
export class Dispatcher {
  readonly #parts: DispatcherParts
  readonly #workers: PQueue
  /** Partitions that have something ready, each once. */
  readonly #runnable = new Fifo<PartitionWork>()
  readonly #changed = new Condition()
  #inWork = 0
  /** Workers that have not left yet. p-queue hears of a leaving one a moment later, too late for what comes then. */
  #hands = 0
  #hiring = false
  #stopped = false

  constructor(parts: DispatcherParts) {
    this.#parts = parts
    this.#workers = new PQueue({ concurrency: parts.concurrency })
  }

  /** The partition may have something ready. */
  offer(work: PartitionWork): void {
    this.#list(work)
    this.#employ()
  }

  /** As `offer`, with many. */
  offerAll(works: Iterable<PartitionWork>): void {
    for (const work of works) this.#list(work)
    this.#employ()
  }

  /** Begins nothing any more. */
  stop(): void {
    this.#stopped = true
  }

  /** Resolves when nothing of these partitions is in work. */
  async idle(works: readonly PartitionWork[]): Promise<void> {
    await this.#changed.until(() => works.every(({ inWork }) => inWork === 0))
  }

  #list(work: PartitionWork): void {
    if (work.listed || !this.#mayRun(work)) return
    work.listed = true
    this.#runnable.push(work)
  }

  #mayRun(work: PartitionWork): boolean {
    if (work.ready === 0 || this.#parts.stands(work)) return false
    const alone = this.#parts.oneEach || work.careful || !work.begun
    return !alone || work.inWork === 0
  }

  #mayBegin(): boolean {
    const { concurrency, allowance } = this.#parts
    return !this.#stopped && this.#runnable.size > 0 && this.#inWork < allowance(concurrency)
  }

  /** A worker goes on as long as there is something: a job costs no more than its turn. */
  #employ(): void {
    // A worker begins at once, and would have the next one hired within its own hiring, and so on.
    if (this.#hiring) return
    this.#hiring = true
    while (this.#hands < this.#parts.concurrency && this.#mayBegin()) {
      this.#hands++
      void this.#workers.add(() => this.#work())
    }
    this.#hiring = false
  }

  async #work(): Promise<void> {
    for (let work = this.#next(); work !== undefined; work = this.#next()) {
      work.inWork++
      this.#inWork++
      const job = this.#parts.perform(work)
      this.#list(work)
      // What is left is for others.
      this.#employ()
      await job
      work.inWork--
      this.#inWork--
      if (work.inWork === 0) this.#changed.notify()
      this.#list(work)
    }
    this.#hands--
  }

  #next(): PartitionWork | undefined {
    while (this.#mayBegin()) {
      const work = this.#runnable.shift() as PartitionWork
      work.listed = false
      if (this.#mayRun(work)) return work
    }
    return undefined
  }
}
