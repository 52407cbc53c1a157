import type {
  Begun,
  Delivered,
  Delivery,
  DeliveryStore,
  Parking,
  ParkOptions,
} from '../consumer/delivery-store.ts'
import type { TopicPartition } from '../consumer/record-source.ts'
import type { Tx } from '../consumer/tx.ts'
import { SluiceError } from '../errors.ts'
import type { Database } from '../postgres/database.ts'
import type { TransactionPool } from '../postgres/transaction-pool.ts'
import { publishDeadLetter } from './dead-letter-record.ts'
import { inboxRowOf, shortReason, type TaskRow, taskRowOf, waitingKeyOf } from './delivery-row.ts'
import {
  claimInbox,
  enterKey,
  type KeyRow,
  type KeyState,
  lockWaitingKeys,
  takeIn,
} from './delivery-statements.ts'
import { PartitionStarts } from './partition-starts.ts'
import { type RoomLimits, RoomSize } from './room-size.ts'

export interface DeliveryStoreOptions {
  readonly pool: TransactionPool
  readonly database: Database
  readonly group: string
  /** Null: nobody is told what becomes of tasks. */
  readonly controlTopic: string | null
  readonly limits: RoomLimits
}

/** Of values that wait, in one statement. */
const STATEMENT_CHARS_MAX = 8 * 2 ** 20

/**
 * The inbox of one group, and the way into its waiting room. Locks are taken in the order inbox, keys, tasks. A record
 * whose key has no row costs one look at an index.
 */
export class PostgresDeliveryStore implements DeliveryStore {
  readonly #pool: TransactionPool
  readonly #group: string
  readonly #controlTopic: string | null
  readonly #starts: PartitionStarts
  readonly #size: RoomSize

  constructor({ pool, database, group, controlTopic, limits }: DeliveryStoreOptions) {
    this.#pool = pool
    this.#group = group
    this.#controlTopic = controlTopic
    this.#starts = new PartitionStarts(database, group)
    this.#size = new RoomSize(database, group, limits)
  }

  async deliver(
    deliveries: readonly Delivery[],
    handle: (admitted: readonly Delivery[], tx: Tx) => Promise<void>,
    { remember = true }: { readonly remember?: boolean } = {},
  ): Promise<Delivered[]> {
    if (deliveries.length === 0) return []
    return this.#pool.transaction(async tx => {
      const delivered = await own('admitting records', this.#admit(deliveries, tx, remember))
      const admitted = deliveries.filter((_, index) => delivered[index] === 'handled')
      if (admitted.length > 0) await handle(admitted, tx)
      return delivered
    })
  }

  async park(
    delivery: Delivery,
    parking: Parking,
    { expiresAt }: ParkOptions,
  ): Promise<'parked' | 'duplicate'> {
    return this.#pool.transaction(tx =>
      own('parking a record', this.#park(tx, delivery, parking, expiresAt)),
    )
  }

  async full(deliveries: readonly Delivery[]): Promise<boolean> {
    return (await this.#size.groupIsFull()) || (await this.#size.aKeyIsFull(keysOf(deliveries)))
  }

  began(partition: TopicPartition, offset: bigint): Promise<Begun> {
    return this.#starts.began(partition, offset)
  }

  attempting(partition: TopicPartition, offset: bigint): Promise<number> {
    return this.#starts.attempting(partition, offset)
  }

  ended(partition: TopicPartition): Promise<void> {
    return this.#starts.ended(partition)
  }

  async #admit(deliveries: readonly Delivery[], tx: Tx, remember: boolean): Promise<Delivered[]> {
    const rows = deliveries.map(inboxRowOf)
    const keys = keysOf(deliveries)
    // Sent together; the second sees what was committed while the first had to wait.
    const [claimed, states] = await Promise.all([
      remember ? claimInbox(tx, this.#group, rows) : rows,
      keys.length === 0 ? [] : lockWaitingKeys(tx, this.#group, keys),
    ])
    const fresh = new Set(claimed.map(row => row.message_id))
    const waits = new WaitingKeys(states)
    const behind: { readonly index: number; readonly row: TaskRow }[] = []
    const delivered = deliveries.map((delivery, index): Delivered => {
      // An id that comes twice is claimed by its first record.
      const { message_id } = rows[index] as (typeof rows)[number]
      if (remember && !fresh.delete(message_id)) return 'duplicate'
      const state = waits.enter(delivery)
      if (state === 'free') return 'handled'
      behind.push({ index, row: taskRowOf(delivery, { state }) })
      return 'behind'
    })
    const taken = await this.#takeIn(
      tx,
      behind.map(({ row }) => row),
    )
    for (const { index, row } of behind) {
      if (!taken.has(row.message_id)) delivered[index] = 'duplicate'
    }
    return delivered
  }

  async #park(
    tx: Tx,
    delivery: Delivery,
    parking: Parking,
    expiresAt: Date | null,
  ): Promise<'parked' | 'duplicate'> {
    const claimed = await claimInbox(tx, this.#group, [inboxRowOf(delivery)])
    if (claimed.length === 0) return 'duplicate'
    if (parking.kind === 'drop') return 'parked'
    const row = await this.#parkedRow(tx, delivery, parking, expiresAt)
    const taken = await this.#takeIn(tx, [row])
    if (taken.size === 0) return 'duplicate'
    if (parking.kind === 'dead' && parking.deadLetterTopic !== null) {
      const { deadLetterTopic: topic, reason } = parking
      await publishDeadLetter(tx, delivery.record, { topic, reason: shortReason(reason) })
    }
    return 'parked'
  }

  async #parkedRow(
    tx: Tx,
    delivery: Delivery,
    parking: Exclude<Parking, { kind: 'drop' }>,
    expiresAt: Date | null,
  ): Promise<TaskRow> {
    switch (parking.kind) {
      case 'dead':
        return taskRowOf(delivery, { ...parking, state: 'dead', expiresAt })
      case 'reproduce': {
        const unordered = { ...delivery, ordered: false }
        return taskRowOf(unordered, {
          ...parking,
          state: 'waiting',
          retryTopic: parking.topic,
          expiresAt,
        })
      }
      case 'hold':
      case 'retry':
      case 'delay': {
        const state = await this.#enter(tx, delivery)
        const wanted = parking.kind === 'hold' ? 'held' : 'waiting'
        const given = state === 'behind' || state === 'held' ? state : wanted
        return taskRowOf(delivery, { ...parking, state: given, expiresAt })
      }
    }
  }

  async #enter(tx: Tx, delivery: Delivery): Promise<'free' | 'waiting' | 'held' | 'behind'> {
    const key = waitingKeyOf(delivery)
    if (key === null) return 'free'
    const states = await enterKey(tx, this.#group, { topic: delivery.record.topic, key })
    return new WaitingKeys(states).enter(delivery)
  }

  /** @returns the ids of those that became tasks */
  async #takeIn(tx: Tx, rows: readonly TaskRow[]): Promise<ReadonlySet<string>> {
    const scope = { group: this.#group, controlTopic: this.#controlTopic }
    const taken = new Set<string>()
    let from = 0
    while (from < rows.length) {
      let to = from
      let chars = 0
      while (to < rows.length && (to === from || chars < STATEMENT_CHARS_MAX)) {
        chars += (rows[to++] as TaskRow).value?.length ?? 0
      }
      for (const row of await takeIn(tx, scope, rows.slice(from, to))) taken.add(row.message_id)
      from = to
    }
    return taken
  }
}

/** What becomes of the records of keys that wait, one after the other. */
class WaitingKeys {
  readonly #states: Map<string, KeyState>

  constructor(states: readonly KeyState[]) {
    this.#states = new Map(states.map(state => [nameOf(state), state]))
  }

  /** Where the record takes its place; `waiting`: first in line, until the key's hold is over. */
  enter(delivery: Delivery): 'free' | 'waiting' | 'held' | 'behind' {
    const key = waitingKeyOf(delivery)
    if (key === null) return 'free'
    const name = nameOf({ topic: delivery.record.topic, key })
    const state = this.#states.get(name)
    if (state?.waiting) return 'behind'
    if (!state?.held) return 'free'
    this.#states.set(name, { ...state, waiting: true })
    return state.held_for_good ? 'held' : 'waiting'
  }
}

function keysOf(deliveries: readonly Delivery[]): KeyRow[] {
  const keys = new Map<string, KeyRow>()
  for (const delivery of deliveries) {
    const key = waitingKeyOf(delivery)
    if (key === null) continue
    const row = { topic: delivery.record.topic, key }
    keys.set(nameOf(row), row)
  }
  return [...keys.values()]
}

function nameOf({ topic, key }: KeyRow): string {
  return `${topic}/${key}`
}

/** Errors of the store's own statements, as distinct from the handler's. */
async function own<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    throw new SluiceError('database', `${what} failed`, { cause, retryable: true })
  }
}
