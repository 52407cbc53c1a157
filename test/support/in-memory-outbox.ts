import { randomUUID } from 'node:crypto'
import type { FailedEvent, LaneLease, PublishedEvent } from '../../src/outbox/adapter.ts'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import type { NewRow } from '../contract/outbox-adapter-rig.ts'

const LANES = 64

export interface WaitingRow {
  readonly event: OutboxEvent
  attempts: number
  notBeforeMs: number
  readonly expiresAtMs: number
  readonly createdAtMs: number
}

interface Lane {
  owner: string | null
  epoch: bigint
  leasedUntilMs: number
  /** A reservation of its owner uses it. */
  reserved: boolean
}

/**
 * The tables of an outbox, held in memory; several adapters may share it, as replicas share a database. Tests read
 * `rows`, `published` and `deadLetters`, and let time pass by `pass`.
 */
export class InMemoryOutbox {
  readonly rows: WaitingRow[] = []
  readonly published: PublishedEvent[] = []
  readonly deadLetters: FailedEvent[] = []
  readonly replicas = new Set<string>()
  readonly lanes: Lane[] = Array.from({ length: LANES }, () => ({
    owner: null,
    epoch: 0n,
    leasedUntilMs: 0,
    reserved: false,
  }))
  #nextId = 1n
  #passedMs = 0

  /** Its clock, in milliseconds since the epoch. */
  nowMs(): number {
    return Date.now() + this.#passedMs
  }

  /** Lets its clock jump ahead. */
  pass(durationMs: number): void {
    this.#passedMs += durationMs
  }

  write(rows: readonly NewRow[]): void {
    for (const row of rows) {
      const id = this.#nextId++
      const { notBeforeInMs = 0, expiresInMs = Number.POSITIVE_INFINITY, ...fields } = row
      const { key = 'k' } = row
      const event: OutboxEvent = {
        id: String(id),
        lane: laneOf(key, id),
        eventId: randomUUID(),
        topic: 't',
        key,
        eventType: 'T',
        payload: null,
        headersJson: '{}',
        attempts: 0,
        ageMs: 0,
        expired: false,
        ...fields,
      }
      const createdAtMs = this.nowMs()
      const notBeforeMs = createdAtMs + notBeforeInMs
      const expiresAtMs = createdAtMs + expiresInMs
      this.rows.push({ event, attempts: 0, notBeforeMs, expiresAtMs, createdAtMs })
    }
  }

  rowsOf(lane: number): WaitingRow[] {
    return this.rows.filter(({ event }) => event.lane === lane)
  }

  /** The lanes among these that `replica` owns under the given epoch. */
  heldLanes(replica: string, leases: readonly LaneLease[]): Set<number> {
    const held = leases.filter(({ lane, epoch }) => {
      const known = this.lanes[lane]
      return known?.owner === replica && String(known.epoch) === epoch
    })
    return new Set(held.map(({ lane }) => lane))
  }

  take(lane: number, replica: string): void {
    const known = this.lanes[lane]
    if (!known) return
    known.owner = replica
    known.epoch++
    known.reserved = false
  }

  remove({ id }: OutboxEvent): boolean {
    const at = this.rows.findIndex(({ event }) => event.id === id)
    if (at >= 0) this.rows.splice(at, 1)
    return at >= 0
  }
}

function laneOf(key: string | null, id: bigint): number {
  if (key === null) return Number(id % BigInt(LANES))
  return [...key].reduce((hash, char) => (hash * 31 + (char.codePointAt(0) ?? 0)) % LANES, 0)
}
