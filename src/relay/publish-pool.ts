import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'
import { describeError } from '../errors.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import { type ClusterView, PartitionCounts } from './cluster-view.ts'
import type { Outcome, Producer, Unknown } from './producer.ts'
import {
  type AnswerMessage,
  type BatchMessage,
  decodeOutcomes,
  encodeBatch,
} from './thread-message.ts'

export interface PublishPoolOptions {
  readonly threads: number
  /** Batches in flight at once, over all threads. */
  readonly batchesMax: number
  /** Plain data for the threads' producers: the client's name, how to reach the brokers, limits. */
  readonly producer: object
  /** Called with the id of each Kafka cluster that a thread has reached, when it is another than before. Must not throw. */
  readonly onCluster?: (clusterId: string) => void
}

/** How long after its deadline a thread may still answer, before it is taken for stuck and ended. */
const STUCK_AFTER_MS = 1_000
const YOUNG_GENERATION_MB = 4

/** Loading the code takes a second on a busy machine. */
const WARM_UP_MS = 30_000

/** A file for each client, so that a thread loads only its own. */
const WORKERS = { kafkajs: 'publish', platformatic: 'publish-platformatic' } as const

/** `.ts` when run from the sources, `.js` once built: the neighbour keeps this file's ending. */
function workerFile(client: keyof typeof WORKERS): string {
  const url = new URL(
    `../../workers/${WORKERS[client]}${import.meta.url.slice(-3)}`,
    import.meta.url,
  )
  return fileURLToPath(url)
}

/** What loads code into the process, for the threads too. They refuse others, such as `--max-old-space-size`. */
function hooksOf(execArgv: readonly string[]): string[] {
  return execArgv.flatMap((flag, index) => {
    if (!/^(--import|--require|-r|--loader|--experimental-loader)(=|$)/.test(flag)) return []
    return flag.includes('=') ? [flag] : [flag, execArgv[index + 1] ?? '']
  })
}

/** Publishes on worker threads, so that encoding records never delays leases, confirms or health answers. */
export class PublishPool implements Producer {
  readonly #pool: Piscina<BatchMessage, AnswerMessage>
  readonly #onCluster: (clusterId: string) => void
  readonly #partitions = new PartitionCounts()
  #expectedClusterId: string | null = null
  #seenClusterId: string | null = null
  #closed = false

  constructor({ threads, batchesMax, producer, onCluster = () => {} }: PublishPoolOptions) {
    this.#onCluster = onCluster
    const { client = 'kafkajs' } = producer as { client?: keyof typeof WORKERS }
    const batchesOfThreadMax = Math.ceil(batchesMax / threads)
    this.#pool = new Piscina({
      filename: workerFile(client),
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: batchesOfThreadMax,
      // Piscina's own gives a thread no second batch, because ending the first one would end the thread and so both.
      loadBalancer: (_, pool) => leastBusy(pool, batchesOfThreadMax),
      maxQueue: batchesMax + threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      // Piscina's default lets an idle thread wait in Atomics.wait, which freezes its sockets and timers.
      atomics: 'disabled',
      recordTiming: false,
      // kafkajs asks for a negative time-out at each connect, which Node 24 warns of (its issue 1751).
      execArgv: [...hooksOf(process.execArgv), '--disable-warning=TimeoutNegativeWarning'],
      workerData: producer,
      // A batch's objects die young, but the default lets them fill 48 MiB a thread before it looks: with this, draining
      // at full speed takes 60 MiB less and no longer.
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    })
    // A thread that dies while idle is replaced; without a listener its error would end the process.
    this.#pool.on('error', () => {})
    this.#warmUp(threads)
  }

  async publish(batch: readonly OutboxEvent[], untilMs: number): Promise<Outcome[]> {
    // A destroyed Piscina would start new threads for it.
    if (this.#closed) return batch.map(() => threadLost(new Error('the pool is closed')))
    const topics = new Set(batch.map(event => event.topic))
    const known = {
      clusterId: this.#expectedClusterId,
      partitions: this.#partitions.of(topics),
    }
    const message = encodeBatch(batch, untilMs, known)
    const leftMs = Math.max(0, Math.ceil(untilMs - monotonicMs()))
    const stuck = new AbortController()
    const timer = setTimeout(() => stuck.abort(), leftMs + STUCK_AFTER_MS)
    try {
      const { signal } = stuck
      const transferList = [message.payloads]
      const { outcomes, view } = await this.#pool.run(message, { transferList, signal })
      this.#learn(view)
      return decodeOutcomes(outcomes)
    } catch (error) {
      return batch.map(() => threadLost(error))
    } finally {
      clearTimeout(timer)
    }
  }

  /** From the next batch on, threads that reach another cluster send nothing: `wrong_cluster`, the producer's fault. */
  expectCluster(clusterId: string): void {
    this.#expectedClusterId = clusterId
  }

  #learn({ clusterId, partitions }: ClusterView): void {
    const expected = this.#expectedClusterId
    if (expected === null || clusterId === expected) this.#partitions.note(partitions)
    if (clusterId === null || clusterId === this.#seenClusterId) return
    this.#seenClusterId = clusterId
    this.#onCluster(clusterId)
  }

  /** One empty batch for each thread loads its code and connects it, so that the first real one need not wait for that. */
  #warmUp(threads: number): void {
    const untilMs = monotonicMs() + WARM_UP_MS
    for (let thread = 0; thread < threads; thread++) this.publish([], untilMs).catch(() => {})
  }

  /** Ends the threads at once: whoever waits for a batch gets unknown outcomes. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#pool.destroy()
  }
}

/** What Piscina tells of a thread. `currentUsage` is infinite for one abortable task, a number for none or several. */
interface Thread {
  readonly currentUsage: number
  readonly isRunningAbortableTask: boolean
}

function leastBusy<T extends Thread>(threads: readonly T[], batchesMax: number): T | null {
  let found: T | null = null
  let least = batchesMax
  for (const thread of threads) {
    const batches = thread.isRunningAbortableTask ? 1 : thread.currentUsage
    if (batches >= least) continue
    found = thread
    least = batches
  }
  return found
}

function threadLost(error: unknown): Unknown {
  const message = describeError(error).slice(0, 500)
  return { kind: 'unknown', code: 'thread_lost', message, fault: 'broker', scope: 'cluster' }
}
