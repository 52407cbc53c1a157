import { randomUUID } from 'node:crypto'
import { pause } from '../internal/pause.ts'
import { Pacer } from './pacer.ts'
import { makePurchase } from './purchase.ts'
import { type Purchase, planPurchase, type Stream } from './purchase-plan.ts'
import { addCustomers, type Sql } from './shop-schema.ts'

export interface ShopOptions {
  readonly sql: Sql
  /** Names this run's customers. */
  readonly run: string
  readonly topics: Readonly<Record<Stream, string>>
  readonly seed: number
  readonly writers: number
  /** Committed events to write; undefined: until stopped. */
  readonly events: number | undefined
  readonly ratePerSecond: number | undefined
}

const CUSTOMERS = 500
const FAULT_PAUSE_MS = 500
/** Ids of rolled-back events kept to tell a phantom's origin; bounded for runs of many hours. */
const ROLLED_BACK_IDS_MAX = 1_000_000

class RollBack extends Error {}

/**
 * A small shop that takes orders. Each purchase is one transaction: it locks the customers it concerns, writes the
 * order, the events and the ledger, and then commits or, in a tenth of the cases, rolls back.
 */
export class Shop {
  readonly #options: ShopOptions
  readonly #pacer: Pacer
  readonly #rolledBackIds = new Set<string>()
  #next = 0
  /** Events committed or about to be. */
  #claimed = 0
  #committed = 0
  #rolledBack = 0
  #failures = 0
  #lastFailure: unknown

  constructor(options: ShopOptions) {
    this.#options = options
    this.#pacer = new Pacer(options.ratePerSecond)
  }

  /** Events whose transaction committed. */
  get committed(): number {
    return this.#committed
  }

  /** Events whose transaction rolled back on purpose. */
  get rolledBack(): number {
    return this.#rolledBack
  }

  /** Transactions that failed, which is not planned, and the last reason. */
  get failures(): { readonly count: number; readonly last: unknown } {
    return { count: this.#failures, last: this.#lastFailure }
  }

  /** Was this event written by a transaction that rolled back? */
  hasRolledBack(eventId: string): boolean {
    return this.#rolledBackIds.has(eventId)
  }

  /** Writes until `events` are committed or the signal is aborted. A failed transaction is counted and made anew. */
  async run(signal: AbortSignal): Promise<void> {
    await addCustomers(this.#options.sql, this.#options.run, CUSTOMERS)
    const writers = Array.from({ length: this.#options.writers }, () => this.#write(signal))
    await Promise.all(writers)
  }

  async #write(signal: AbortSignal): Promise<void> {
    const { events = Number.POSITIVE_INFINITY, seed } = this.#options
    while (!signal.aborted && this.#committed < events) {
      const left = events - this.#claimed
      if (left <= 0) {
        // Others hold the rest; should one of them fail, it comes back here.
        await pause(10, signal)
        continue
      }
      const purchase = planPurchase(seed, this.#next++, CUSTOMERS, left)
      await this.#carryOut(purchase, signal)
    }
  }

  async #carryOut(purchase: Purchase, signal: AbortSignal): Promise<void> {
    const count = purchase.rollsBack ? 0 : purchase.events.length
    this.#claimed += count
    await this.#pacer.take(count, signal)
    if (signal.aborted) {
      this.#claimed -= count
      return
    }
    const eventIds = purchase.events.map(() => randomUUID())
    const { sql, run, topics } = this.#options
    try {
      await sql.begin(async tx => {
        await makePurchase(tx, { run, topics, purchase, eventIds })
        if (purchase.rollsBack) throw new RollBack()
      })
      this.#committed += count
    } catch (error) {
      if (error instanceof RollBack) {
        this.#rememberRollBack(eventIds)
        return
      }
      this.#claimed -= count
      this.#failures += 1
      this.#lastFailure = error
      await pause(FAULT_PAUSE_MS, signal)
    }
  }

  #rememberRollBack(eventIds: readonly string[]): void {
    this.#rolledBack += eventIds.length
    if (this.#rolledBackIds.size >= ROLLED_BACK_IDS_MAX) return
    for (const id of eventIds) this.#rolledBackIds.add(id)
  }
}
