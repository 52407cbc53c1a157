import { openDatabase } from '../../src/demo/database.ts'
import { judgeTopics } from '../../src/demo/evidence.ts'
import { createTopics, freshName, openKafka } from '../../src/demo/kafka.ts'
import { Shop } from '../../src/demo/shop.ts'
import { createShop } from '../../src/demo/shop-schema.ts'
import type { Verdict } from '../../src/demo/verdict.ts'
import { cleanup } from './cleanup.ts'
import type { Scope } from './parts.ts'
import { until } from './until.ts'

export interface ShopRun {
  /** Events committed so far. */
  committed(): number
  /** Events still in the outbox, counted up to ten thousand. */
  waiting(): Promise<number>
  /** No more orders; resolves when the last transaction has ended. */
  close(): Promise<void>
  /** Waits until the outbox is empty, then compares the shop's ledger with what Kafka holds. */
  verdict(drainDeadlineMs: number): Promise<Verdict>
}

export interface ShopRunOptions {
  readonly url: string
  readonly brokers: readonly string[]
  readonly ratePerSecond: number
  readonly events?: number
}

/** The demo's shop, placing orders until it is closed; its ledger is the truth that a run is judged by. */
export async function openShop(
  t: Scope,
  { url, brokers, ratePerSecond, events }: ShopRunOptions,
): Promise<ShopRun> {
  const sql = openDatabase(url, 'shop', 8)
  const kafka = openKafka({ brokers, clientId: 'shop' })
  const run = freshName('run')
  const topics = { orders: `orders-${run}`, payments: `payments-${run}` }
  const names = Object.values(topics)
  await createShop(sql)
  const admin = kafka.admin()
  await admin.connect()
  await createTopics(admin, names, 6)
  await admin.disconnect()
  const closing = new AbortController()
  const shop = new Shop({ sql, run, topics, seed: 1, writers: 4, events, ratePerSecond })
  const running = shop.run(closing.signal)
  const close = async () => {
    closing.abort()
    await running
  }
  cleanup(t, async () => {
    await close()
    await sql.end({ timeout: 1 })
  })
  const waiting = async () => {
    const rows = await sql`select from outbox.events limit 10000`
    return rows.length
  }
  return {
    committed: () => shop.committed,
    waiting,
    close,
    verdict: async drainDeadlineMs => {
      const drained = async () => (await waiting()) === 0
      await until(drained, { deadlineMs: drainDeadlineMs, what: 'the outbox is empty' })
      return judgeTopics({ sql, kafka, topics: names, stallMs: 15_000 })
    },
  }
}
