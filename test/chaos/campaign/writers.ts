import pg from 'pg'
import { seededRandom } from '../../../src/demo/random.ts'
import { pause } from '../../../src/internal/pause.ts'
import { type PlannedTransaction, type Topics, TransactionPlan } from './event-plan.ts'
import { writeEvents } from './ledger.ts'

export interface WriterOptions {
  /** Past every proxy. */
  readonly directUrl: string
  readonly topics: Topics
  readonly seed: number
  readonly writers: number
  /** Transactions per second, all writers together. */
  readonly transactionsPerSecond: number
}

const ANSWER_MS = 15_000
const CONNECT_MS = 3_000
const RECONNECT_MS = 200

/** Applications that write to the outbox until they are closed. */
export class Writers {
  readonly #options: WriterOptions
  readonly #closing = new AbortController()
  readonly #running: Promise<void>[]
  /** Commits that were answered; one whose answer got lost is not among them. */
  committed = 0
  rolledBack = 0
  errors = 0

  constructor(options: WriterOptions) {
    this.#options = options
    this.#running = Array.from({ length: options.writers }, (_, writer) => this.#write(writer))
  }

  /** No new transactions; resolves when the open ones have ended. */
  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.all(this.#running)
  }

  async #write(writer: number): Promise<void> {
    const { seed, topics, writers, transactionsPerSecond } = this.#options
    const plan = new TransactionPlan(seededRandom(seed * 1_000 + writer), topics, writer)
    const everyMs = (1_000 * writers) / transactionsPerSecond
    const { signal } = this.#closing
    let client: pg.Client | null = null
    let dueMs = performance.now()
    while (!signal.aborted) {
      try {
        client ??= await this.#connect()
        const planned = plan.next()
        await this.#transact(client, planned)
        if (planned.end === 'vanish') client = null
      } catch {
        this.errors++
        await client?.end().catch(() => {})
        client = null
        await pause(RECONNECT_MS, signal)
      }
      // What an outage kept from being written is not made up for.
      dueMs = Math.max(dueMs + everyMs, performance.now() - everyMs)
      await pause(dueMs - performance.now(), signal)
    }
    await client?.end().catch(() => {})
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: this.#options.directUrl,
      application_name: 'chaos writer',
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout: ANSWER_MS,
    })
    // Told by the query that meets it.
    client.on('error', () => {})
    await client.connect()
    return client
  }

  async #transact(client: pg.Client, planned: PlannedTransaction): Promise<void> {
    await client.query('begin')
    if (!planned.synchronousCommit) await client.query('set local synchronous_commit = off')
    await writeEvents(client, planned.events)
    if (planned.holdMs > 0) await pause(planned.holdMs, this.#closing.signal)
    if (planned.end === 'vanish') {
      await client.end()
      this.rolledBack++
      return
    }
    await client.query(planned.end)
    if (planned.end === 'commit') this.committed += planned.events.length
    else this.rolledBack += 1
  }
}
