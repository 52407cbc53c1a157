import { openDatabase } from '../src/demo/database.ts'
import type { Sql } from '../src/demo/shop-schema.ts'
import { startParts } from '../src/embedded/parts.ts'
import type { Queries } from '../src/operator/outbox-access.ts'
import { Database } from '../src/postgres/database.ts'
import { openTransactionPool, type TransactionPool } from '../src/postgres/transaction-pool.ts'
import { holdKey, holdReading } from '../src/waiting-room/key-holds.ts'
import { PostgresDeliveryStore } from '../src/waiting-room/postgres-delivery-store.ts'
import { PostgresTaskStore } from '../src/waiting-room/postgres-task-store.ts'
import type { ClaimedTask } from '../src/waiting-room/task-store.ts'
import { withOwnDatabase } from './own-database.ts'
import { fillRoom, keyOf, PARTITIONS, TOPICS } from './room-filling.ts'

export interface RoomBenchOptions {
  readonly tasks: number
  readonly keys: number
  /** Of each phase. */
  readonly seconds: number
}

export interface RoomPhase {
  readonly phase: string
  /** Of one claim of up to 16 tasks, as its caller sees it. */
  readonly claimP50Ms: number
  readonly claimP99Ms: number
  readonly claims: number
  readonly completedPerSecond: number
  readonly parkedPerSecond: number
}

const GROUP = 'bench'
/** Tasks completed at once, each in its transaction. A scheduler claims no more than it can begin. */
const CONCURRENCY = 16
const CLAIM = { limit: CONCURRENCY, leaseMs: 30_000 }
const STATEMENT_TIMEOUT_MS = 60_000
const KEYS_HELD = 100
const HOLD = { until: null, reason: 'bench', actor: 'bench' }

interface Stores {
  readonly tasks: PostgresTaskStore
  readonly deliveries: PostgresDeliveryStore
}

/**
 * Claims and completes what is due in a room full of tasks, while records are parked: with nothing held, with held
 * keys, and with a held topic whose due tasks lie before all others.
 */
export async function benchWaitingRoom(
  options: RoomBenchOptions,
  onProgress: (text: string) => void,
): Promise<RoomPhase[]> {
  const parts = await startParts({ env: process.env, onProgress })
  try {
    return await withOwnDatabase(parts.databaseUrl, ({ url }) =>
      playPhases(url, options, onProgress),
    )
  } finally {
    await parts.stop()
  }
}

async function playPhases(
  url: string,
  { tasks, keys, seconds }: RoomBenchOptions,
  onProgress: (text: string) => void,
): Promise<RoomPhase[]> {
  const sql = openDatabase(url, 'sluice-bench', 1)
  const common = { url, applicationName: 'sluice-bench', statementTimeoutMs: STATEMENT_TIMEOUT_MS }
  const database = new Database({ ...common, connectionsMax: 2 })
  const pool = openTransactionPool({
    ...common,
    connectionsMax: CONCURRENCY + 2,
    idleInTransactionTimeoutMs: STATEMENT_TIMEOUT_MS,
  })
  try {
    onProgress(`filling the room with ${tasks} tasks`)
    await sql`create table effects (message_id text not null)`
    await sql`set statement_timeout = '10min'`
    await fillRoom(sql, { group: GROUP, tasks, keys })
    const stores = storesOf(database, pool)
    const phases: RoomPhase[] = []
    for (const [phase, prepare] of PHASES) {
      await prepare(sql)
      phases.push({ phase, ...(await measure(stores, keys, seconds)) })
    }
    return phases
  } finally {
    await Promise.all([database.stop(), pool.stop(), sql.end({ timeout: 2 })])
  }
}

const PHASES: readonly (readonly [string, (sql: Sql) => Promise<unknown>])[] = [
  ['nothing held', async () => {}],
  [
    'keys held',
    async sql => {
      const scope = { group: GROUP, controlTopic: null }
      for (let n = 0; n < KEYS_HELD; n++) {
        const target = { topic: TOPICS[n % 2] as string, key: keyOf(n) }
        await inTransaction(sql, tx => holdKey(tx, scope, target, HOLD))
      }
    },
  ],
  [
    'topic held',
    sql => inTransaction(sql, tx => holdReading(tx, GROUP, { topic: TOPICS[0] }, HOLD)),
  ],
]

function inTransaction(sql: Sql, work: (tx: Queries) => Promise<unknown>): Promise<unknown> {
  return sql.begin(tx => work(tx as unknown as Queries))
}

function storesOf(database: Database, pool: TransactionPool): Stores {
  const common = { database, pool, group: GROUP, controlTopic: null }
  const limits = { perKey: 1_000_000, perGroup: 1_000_000_000 }
  return {
    tasks: new PostgresTaskStore(common),
    deliveries: new PostgresDeliveryStore({ ...common, limits }),
  }
}

async function measure(
  stores: Stores,
  keys: number,
  seconds: number,
): Promise<Omit<RoomPhase, 'phase'>> {
  const startedAtMs = performance.now()
  const untilMs = startedAtMs + seconds * 1_000
  const claimsMs: number[] = []
  const parking = parkUntil(stores.deliveries, keys, untilMs)
  let completed = 0
  while (performance.now() < untilMs) {
    const beganMs = performance.now()
    const claimed = await stores.tasks.claim(CLAIM)
    claimsMs.push(performance.now() - beganMs)
    if (claimed.length === 0) throw new Error('nothing is due any more: give more tasks')
    completed += await completeAll(stores.tasks, claimed)
  }
  const parked = await parking
  const took = (performance.now() - startedAtMs) / 1_000
  claimsMs.sort((left, right) => left - right)
  const percentile = (share: number) => claimsMs[Math.floor((claimsMs.length - 1) * share)] ?? 0
  return {
    claimP50Ms: percentile(0.5),
    claimP99Ms: percentile(0.99),
    claims: claimsMs.length,
    completedPerSecond: completed / took,
    parkedPerSecond: parked / took,
  }
}

async function completeAll(
  store: PostgresTaskStore,
  claimed: readonly ClaimedTask[],
): Promise<number> {
  const left = [...claimed]
  const work = async () => {
    for (let task = left.shift(); task !== undefined; task = left.shift()) {
      const { messageId } = task
      const done = await store.complete(task, async tx => {
        await tx`insert into effects (message_id) values (${messageId})`
      })
      if (!done) throw new Error(`${messageId}: the claim was lost`)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, work))
  return claimed.length
}

/** Records that failed once, one after the other; each second one may run again at once. */
async function parkUntil(
  store: PostgresDeliveryStore,
  keys: number,
  untilMs: number,
): Promise<number> {
  const value = Buffer.from(`{"pad":"${'x'.repeat(480)}"}`)
  let parked = 0
  for (; performance.now() < untilMs; parked++) {
    const n = Math.floor(Math.random() * keys)
    const record = {
      topic: TOPICS[n % 2] as string,
      partition: n % PARTITIONS,
      offset: BigInt(parked),
      key: Buffer.from(keyOf(n)),
      value,
      headers: [],
      timestampMs: Date.now(),
    }
    const delivery = { record, messageId: crypto.randomUUID(), ordered: true }
    const due = { inMs: parked % 2 === 0 ? 0 : 60_000 }
    await store.park(delivery, { kind: 'retry', due, attempts: 1, reason: 'bench' }, NO_END)
  }
  return parked
}

const NO_END = { expiresAt: null }
