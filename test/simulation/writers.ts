import type { EventRow } from './event-rows.ts'
import { laneOf } from './lane-rows.ts'
import type { EventRecord } from './ledger.ts'
import type { PlannedTransaction } from './plan.ts'
import { between } from './random.ts'
import { WORLD } from './virtual-time.ts'
import type { World } from './world.ts'

/** Applications that write events, each key's under a lock of their own: its next event follows on the former's commit. */
export class Writers {
  readonly #world: World
  readonly #locked = new Map<string, (() => void)[]>()
  readonly #places = new Map<string, number>()
  #transactions = 0
  /** Transactions that have not ended. */
  open = 0

  constructor(world: World) {
    this.#world = world
    for (const transaction of world.plan.transactions) {
      const records = transaction.events.map(event => world.ledger.plan(event))
      this.open++
      world.time.after(transaction.atMs, WORLD, () => {
        this.#write(transaction, records)
          .catch(error => world.failed(error, WORLD))
          .finally(() => {
            this.open--
          })
      })
    }
  }

  async #write(planned: PlannedTransaction, records: readonly EventRecord[]): Promise<void> {
    const keys = [...new Set(records.map(orderOf).filter(name => name !== null))].sort()
    for (const key of keys) await this.#lock(key)
    try {
      await this.#transact(planned, records)
    } finally {
      for (const key of keys) this.#unlock(key)
    }
  }

  async #transact(planned: PlannedTransaction, records: readonly EventRecord[]): Promise<void> {
    const { server, time, weather, history } = this.#world
    while (!server.up) await time.sleep(20)
    const { crashes } = server
    const name = `${3 + (this.#transactions % 7)}/${++this.#transactions}`
    server.writers.add(name)
    const ids: number[] = []
    for (const record of records) {
      if (ids.length > 0) await this.#hesitate(planned, records.length)
      if (crashes !== server.crashes) break
      ids.push(server.log.nextId())
      record.status = 'open'
    }
    await this.#hesitate(planned, records.length)
    const survived = crashes === server.crashes
    if (!survived || planned.fate === 'rollback') {
      server.writers.delete(name)
      for (const record of records) record.status = 'aborted'
      return
    }
    const rows = this.#rowsOf(records, ids)
    const random = () => weather.random()
    if (planned.async) server.showUnflushed(rows)
    else if (!(await server.showFlushed(rows, between(random, 0.2, 5), planned.heldMs))) {
      if (rows[0]!.record.status === 'open') for (const row of rows) row.record.status = 'aborted'
    }
    // The lock goes once the rows are to be seen.
    if (crashes === server.crashes) server.writers.delete(name)
    const how = planned.async ? 'commits without a flush' : 'commits'
    const what = rows.map(row => `${row.record.plan.eventId}=${row.lane}:${row.id}`).join(' ')
    history.add('writer', `${name} ${how} ${what}: ${rows[0]!.record.status}`)
  }

  /** After the faults nobody dawdles: those that wait for a key could take minutes to end. */
  async #hesitate({ openMs }: PlannedTransaction, steps: number): Promise<void> {
    const { time, weather } = this.#world
    await time.sleep(weather.healed ? 0 : openMs / steps)
  }

  #rowsOf(records: readonly EventRecord[], ids: readonly number[]): EventRow[] {
    const { server } = this.#world
    const committedAt = server.log.append()
    return records.map((record, n) => {
      const { key, delayMs, expiresInMs } = record.plan
      const id = ids[n]!
      const order = orderOf(record)
      if (order !== null) {
        record.place = (this.#places.get(order) ?? 0) + 1
        this.#places.set(order, record.place)
      }
      record.id = id
      return {
        id,
        lane: laneOf(key, id),
        record,
        createdMs: server.nowMs,
        expiresMs: server.nowMs + expiresInMs,
        bytes: 20 + (id % 7) * 20,
        attempts: 0,
        notBeforeMs: delayMs === 0 ? Number.NEGATIVE_INFINITY : server.nowMs + delayMs,
        committedAt,
      }
    })
  }

  async #lock(key: string): Promise<void> {
    const waiting = this.#locked.get(key)
    if (waiting === undefined) this.#locked.set(key, [])
    else await new Promise<void>(resolve => waiting.push(resolve))
  }

  #unlock(key: string): void {
    const next = this.#locked.get(key)?.shift()
    if (next) next()
    else this.#locked.delete(key)
  }
}

/** What keeps its order: a topic's key. */
export function orderOf({ plan: { topic, key } }: EventRecord): string | null {
  return key === null ? null : `${topic} ${key}`
}
