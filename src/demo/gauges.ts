import type { Admin } from 'kafkajs'
import { SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { countRecords } from './kafka.ts'
import type { Sql } from './shop-schema.ts'

/** Counting further would only slow the database down. */
const WAITING_MAX = 100_000
const ANSWER_MS = 2_000
const RATE_WINDOW_MS = 3_000

/** Reads how far the relay is: from the outbox and from Kafka, not from the relay. */
export class Gauges {
  readonly #sql: Sql
  readonly #admin: Admin
  readonly #topics: readonly string[]
  readonly #samples: { readonly atMs: number; readonly published: number }[] = []
  #waiting = 0

  constructor(sql: Sql, admin: Admin, topics: readonly string[]) {
    this.#sql = sql
    this.#admin = admin
    this.#topics = topics
  }

  /** Rows in the outbox at the last reading; 100,000 stands for that many or more. */
  get waiting(): number {
    return this.#waiting
  }

  /** Records in Kafka at the last reading. */
  get published(): number {
    return this.#samples.at(-1)?.published ?? 0
  }

  /** Records per second over the last few seconds. */
  get ratePerSecond(): number {
    const first = this.#samples[0]
    const last = this.#samples.at(-1)
    if (!first || !last || last.atMs === first.atMs) return 0
    return ((last.published - first.published) * 1_000) / (last.atMs - first.atMs)
  }

  /** Reads anew. When PostgreSQL or Kafka does not answer, the values stay as they were and false is returned. */
  async read(): Promise<boolean> {
    try {
      const [waiting, published] = await Promise.all([
        withDeadline(countWaiting(this.#sql, this.#topics), ANSWER_MS, late),
        withDeadline(countRecords(this.#admin, this.#topics), ANSWER_MS, late),
      ])
      this.#waiting = waiting
      const atMs = performance.now()
      this.#samples.push({ atMs, published })
      while ((this.#samples[0]?.atMs ?? atMs) < atMs - RATE_WINDOW_MS) this.#samples.shift()
      return true
    } catch {
      return false
    }
  }
}

/** Events of the topics that are still in the outbox, at most 100,000. */
export async function countWaiting(sql: Sql, topics: readonly string[]): Promise<number> {
  const [row] = await sql<{ waiting: number }[]>`
    select count(*)::int as waiting
    from (select from outbox.events where topic = any(${topics}) limit ${WAITING_MAX}) w
  `
  return row?.waiting ?? 0
}

/** Events of the topics that were refused for good. */
export async function countDeadLetters(sql: Sql, topics: readonly string[]): Promise<number> {
  const [row] = await sql<{ dead: number }[]>`
    select count(*)::int as dead from outbox.dead_letters where topic = any(${topics})
  `
  return row?.dead ?? 0
}

function late(): SluiceError {
  return new SluiceError('lifecycle', `no answer within ${ANSWER_MS} ms`, { retryable: true })
}
