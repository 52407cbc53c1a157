import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'
import { describeError } from '../errors.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { Outcome, Producer, Unknown } from './producer.ts'
import {
  type BatchMessage,
  decodeOutcomes,
  encodeBatch,
  type OutcomesMessage,
} from './thread-message.ts'

export interface PublishPoolOptions {
  readonly threads: number
  /** Batches in flight at once, over all threads. */
  readonly batchesMax: number
  /** Plain data for the threads' producers. */
  readonly producer: object
}

/** How long after its deadline a thread may still answer, before it is taken for stuck and ended. */
const STUCK_AFTER_MS = 1_000

/** Loading the code takes a second on a busy machine. */
const WARM_UP_MS = 30_000

/** `.ts` when run from the sources, `.js` once built: the neighbour keeps this file's ending. */
const WORKER = new URL(`../../workers/publish${import.meta.url.slice(-3)}`, import.meta.url)

/** Publishes on worker threads, so that encoding records never delays leases, confirms or health answers. */
export class PublishPool implements Producer {
  readonly #pool: Piscina<BatchMessage, OutcomesMessage>
  /** Those who wait for a batch. Aborting one ends its thread. */
  readonly #waiting = new Set<AbortController>()

  constructor({ threads, batchesMax, producer }: PublishPoolOptions) {
    this.#pool = new Piscina({
      filename: fileURLToPath(WORKER),
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: Math.ceil(batchesMax / threads),
      maxQueue: batchesMax + threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      // Piscina's default lets an idle thread wait in Atomics.wait, which freezes its sockets and timers.
      atomics: 'disabled',
      recordTiming: false,
      workerData: producer,
    })
    // A thread that dies while idle is replaced; without a listener its error would end the process.
    this.#pool.on('error', () => {})
    this.#warmUp(threads)
  }

  async publish(batch: readonly OutboxEvent[], untilMs: number): Promise<Outcome[]> {
    const message = encodeBatch(batch, untilMs)
    const leftMs = Math.max(0, Math.ceil(untilMs - monotonicMs()))
    const waiting = new AbortController()
    const stuck = setTimeout(() => waiting.abort(), leftMs + STUCK_AFTER_MS)
    this.#waiting.add(waiting)
    try {
      const { signal } = waiting
      const transferList = [message.payloads]
      return decodeOutcomes(await this.#pool.run(message, { transferList, signal }))
    } catch (error) {
      return batch.map(() => threadLost(error))
    } finally {
      clearTimeout(stuck)
      this.#waiting.delete(waiting)
    }
  }

  /** One empty batch for each thread loads its code and connects it, so that the first real one need not wait for that. */
  #warmUp(threads: number): void {
    const untilMs = monotonicMs() + WARM_UP_MS
    for (let thread = 0; thread < threads; thread++) this.publish([], untilMs).catch(() => {})
  }

  /** Ends the threads at once: whoever waits for a batch gets unknown outcomes. */
  async close(): Promise<void> {
    for (const waiting of this.#waiting) waiting.abort()
    await this.#pool.destroy()
  }
}

function threadLost(error: unknown): Unknown {
  const message = describeError(error).slice(0, 500)
  return { kind: 'unknown', code: 'thread_lost', message, fault: 'broker', scope: 'cluster' }
}
