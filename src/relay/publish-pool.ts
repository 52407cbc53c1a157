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

/** `.ts` when run from the sources, `.js` once built: the neighbour keeps this file's ending. */
const WORKER = new URL(`../../workers/publish${import.meta.url.slice(-3)}`, import.meta.url)

/** Publishes on worker threads, so that encoding records never delays leases, confirms or health answers. */
export class PublishPool implements Producer {
  readonly #pool: Piscina<BatchMessage, OutcomesMessage>
  readonly #stopped = new AbortController()

  constructor({ threads, batchesMax, producer }: PublishPoolOptions) {
    this.#pool = new Piscina({
      filename: fileURLToPath(WORKER),
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: Math.ceil(batchesMax / threads),
      maxQueue: batchesMax,
      idleTimeout: Number.POSITIVE_INFINITY,
      // Piscina's default lets an idle thread wait in Atomics.wait, which freezes its sockets and timers.
      atomics: 'disabled',
      recordTiming: false,
      workerData: producer,
    })
    // A thread that dies while idle is replaced; without a listener its error would end the process.
    this.#pool.on('error', () => {})
  }

  async publish(batch: readonly OutboxEvent[], untilMs: number): Promise<Outcome[]> {
    const message = encodeBatch(batch, untilMs)
    const leftMs = Math.max(0, Math.ceil(untilMs - monotonicMs()))
    const stuck = AbortSignal.timeout(leftMs + STUCK_AFTER_MS)
    try {
      const outcomes = await this.#pool.run(message, {
        transferList: [message.payloads],
        signal: AbortSignal.any([stuck, this.#stopped.signal]),
      })
      return decodeOutcomes(outcomes)
    } catch (error) {
      return batch.map(() => threadLost(error))
    }
  }

  /** Ends the threads at once: whoever waits for a batch gets unknown outcomes. */
  async close(): Promise<void> {
    this.#stopped.abort()
    await this.#pool.destroy()
  }
}

function threadLost(error: unknown): Unknown {
  const message = describeError(error).slice(0, 500)
  return { kind: 'unknown', code: 'thread_lost', message, fault: 'broker', scope: 'cluster' }
}
