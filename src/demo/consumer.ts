import type { Consumer, Kafka } from 'kafkajs'
import { disconnect } from './kafka.ts'
import { LatencyWindow } from './latency-window.ts'
import { RecentIds } from './recent-ids.ts'

/** What is not committed when the consumer restarts comes again, and is recognised. */
const COMMIT_INTERVAL_MS = 1_000
const WINDOW_SECONDS = 5
/** More than the relay can have in flight, so that a duplicate is recognised. */
const RECENT_IDS = 200_000

/** A consumer group of the shop: counts each event once and measures how long it took to arrive. */
export class ShopConsumer {
  readonly #consumer: Consumer
  readonly #recent = new RecentIds(RECENT_IDS)
  readonly #latencies = new LatencyWindow(WINDOW_SECONDS)
  #handled = 0
  #duplicates = 0
  #committedAtMs = 0

  private constructor(consumer: Consumer) {
    this.#consumer = consumer
  }

  /** Joins the group; ended by `stop`. */
  static async start(kafka: Kafka, groupId: string, topics: string[]): Promise<ShopConsumer> {
    const consumer = kafka.consumer({
      groupId,
      allowAutoTopicCreation: false,
      // The wait of a fetch that finds nothing; a fetch that finds something is answered at once.
      maxWaitTimeInMs: 250,
    })
    const shopConsumer = new ShopConsumer(consumer)
    try {
      await consumer.connect()
      await consumer.subscribe({ topics, fromBeginning: true })
      await consumer.run({
        autoCommit: false,
        eachBatch: async ({ batch, uncommittedOffsets, commitOffsetsIfNecessary }) => {
          for (const { headers, value } of batch.messages) shopConsumer.#handle(headers, value)
          if (shopConsumer.#commitDue()) await commitOffsetsIfNecessary(uncommittedOffsets())
        },
      })
    } catch (error) {
      await disconnect(consumer)
      throw error
    }
    return shopConsumer
  }

  /** Events handled, each once. */
  get handled(): number {
    return this.#handled
  }

  /** Records recognised as repetitions and not handled again. */
  get duplicates(): number {
    return this.#duplicates
  }

  /**
   * Milliseconds from placing an order, in its transaction, to handling its event, over the last few seconds.
   * @returns null when nothing was handled in that time
   */
  latencyMs(share: number): number | null {
    return this.#latencies.quantile(share, performance.now())
  }

  /** Never rejects. */
  async stop(): Promise<void> {
    await disconnect(this.#consumer)
  }

  /** kafkajs by itself would commit after every batch of every partition, a round trip each. */
  #commitDue(): boolean {
    const nowMs = performance.now()
    if (nowMs < this.#committedAtMs + COMMIT_INTERVAL_MS) return false
    this.#committedAtMs = nowMs
    return true
  }

  #handle(headers: Record<string, unknown> | undefined, value: Buffer | null): void {
    const id = String(headers?.event_id)
    if (!this.#recent.add(id)) {
      this.#duplicates += 1
      return
    }
    this.#handled += 1
    const placedAtMs = placedAtMsOf(value)
    if (placedAtMs === null) return
    const nowMs = performance.now()
    this.#latencies.record(performance.timeOrigin + nowMs - placedAtMs, nowMs)
  }
}

/** null: not a payload of the shop. Whether it belongs there is for the verdict to say. */
function placedAtMsOf(value: Buffer | null): number | null {
  try {
    const { placedAtMs } = JSON.parse(value?.toString() ?? '{}') as { placedAtMs?: unknown }
    return typeof placedAtMs === 'number' ? placedAtMs : null
  } catch {
    return null
  }
}
