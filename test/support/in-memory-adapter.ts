import { randomUUID } from 'node:crypto'
import { SluiceError } from '../../src/errors.ts'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import type {
  FailedEvent,
  LaneLease,
  OutboxAdapter,
  PublishedEvent,
  Reservation,
  ReserveOptions,
  Settled,
} from '../../src/outbox/adapter.ts'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import type { InMemoryOutbox, WaitingRow } from './in-memory-outbox.ts'

/** A replica's adapter on an outbox without a database; it passes the adapter's contract like the real one. */
export class InMemoryAdapter implements OutboxAdapter {
  /** How many calls still fail as if the database were away. */
  failures = 0
  readonly #outbox: InMemoryOutbox
  readonly #replica = randomUUID()
  #stopped = false

  constructor(outbox: InMemoryOutbox) {
    this.#outbox = outbox
    outbox.replicas.add(this.#replica)
  }

  async reserveNewEvents(
    limit: number,
    reserveDurationMs: number,
    options: ReserveOptions,
  ): Promise<Reservation | null> {
    this.#answer()
    if (this.#stopped) return null
    const trustedUntilMs = monotonicMs() + reserveDurationMs * 0.9
    const { lanes } = this.#outbox
    const idle = this.#lease(reserveDurationMs).filter(lane => !lanes[lane]?.reserved)
    const events = this.#read(idle, limit, options)
    if (events.length === 0) return null
    const used = [...new Set(events.map(({ lane }) => lane))]
    for (const lane of used) lanes[lane]!.reserved = true
    return { events, leases: used.map(lane => this.#leaseOf(lane)), trustedUntilMs }
  }

  async confirm({ leases }: Reservation, published: readonly PublishedEvent[]): Promise<Settled> {
    this.#answer()
    return this.#settle(leases, published, each => {
      const found = this.#outbox.remove(each.event)
      if (found) this.#outbox.published.push(each)
      return found
    })
  }

  async confirmFailed({ leases }: Reservation, failures: readonly FailedEvent[]): Promise<Settled> {
    this.#answer()
    const ids = new Set<string>()
    const settled = this.#settle(leases, failures, failure => {
      const recorded = this.#recordFailed(failure)
      if (recorded) ids.add(failure.event.id)
      return recorded
    })
    return { ...settled, ids }
  }

  async renew(reservation: Reservation, reserveDurationMs: number): Promise<number> {
    this.#answer()
    const startedMs = monotonicMs()
    const held = this.#outbox.heldLanes(this.#replica, reservation.leases)
    if (held.size < reservation.leases.length) return 0
    this.#lease(reserveDurationMs)
    return startedMs + reserveDurationMs * 0.9
  }

  release({ leases }: Reservation): void {
    const held = this.#outbox.heldLanes(this.#replica, leases)
    for (const lane of held) this.#outbox.lanes[lane]!.reserved = false
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#outbox.replicas.delete(this.#replica)
    for (const lane of this.#outbox.lanes) if (lane.owner === this.#replica) lane.owner = null
  }

  #recordFailed(failure: FailedEvent): boolean {
    if (failure.kind === 'dead') {
      const found = this.#outbox.remove(failure.event)
      if (found) this.#outbox.deadLetters.push(failure)
      return found
    }
    const row = this.#outbox.rows.find(({ event }) => event.id === failure.event.id)
    if (row?.attempts !== failure.event.attempts) return false
    row.attempts++
    row.notBeforeMs = this.#outbox.nowMs() + failure.retryDelayMs
    return true
  }

  /** Renews its lanes, and takes others up to its share: free ones, and idle ones of those who have more than theirs. */
  #lease(durationMs: number): number[] {
    const { lanes, replicas } = this.#outbox
    const nowMs = this.#outbox.nowMs()
    const share = Math.ceil(lanes.length / replicas.size)
    const ownedBy = (replica: string | null) =>
      lanes.filter(({ owner }) => owner === replica).length
    for (const [index, { owner, leasedUntilMs, reserved }] of lanes.entries()) {
      if (owner === this.#replica || ownedBy(this.#replica) >= share) continue
      const free = owner === null || leasedUntilMs < nowMs
      if (free || (!reserved && ownedBy(owner) > share)) this.#outbox.take(index, this.#replica)
    }
    const mine = [...lanes.keys()].filter(lane => lanes[lane]?.owner === this.#replica)
    for (const lane of mine) lanes[lane]!.leasedUntilMs = nowMs + durationMs
    return mine
  }

  /** Lane after lane, each in the order of ids. */
  #read(lanes: readonly number[], limit: number, { exceptTopics, bytesMax }: ReserveOptions) {
    const nowMs = this.#outbox.nowMs()
    // A retry holds its key, and so does a dead letter that blocks it.
    const held = new Set<string>()
    for (const { event, blocksKey } of this.#outbox.deadLetters)
      if (blocksKey) held.add(nameOf(event))
    const found: OutboxEvent[] = []
    let bytes = 0
    for (const row of lanes.flatMap(lane => this.#outbox.rowsOf(lane))) {
      const { event, attempts } = row
      const blocked = event.key !== null && held.has(nameOf(event))
      if (attempts > 0) held.add(nameOf(event))
      if (blocked || row.notBeforeMs > nowMs || exceptTopics.includes(event.topic)) continue
      if (found.length >= limit || (found.length > 0 && bytes >= bytesMax)) break
      bytes += Buffer.byteLength(event.payload ?? '')
      found.push(this.#asRead(row, nowMs))
    }
    return found
  }

  #asRead({ event, attempts, createdAtMs, expiresAtMs }: WaitingRow, nowMs: number): OutboxEvent {
    return { ...event, attempts, ageMs: nowMs - createdAtMs, expired: expiresAtMs <= nowMs }
  }

  #settle<T extends { readonly event: OutboxEvent }>(
    leases: readonly LaneLease[],
    items: readonly T[],
    record: (item: T) => boolean,
  ): Settled {
    const held = this.#outbox.heldLanes(this.#replica, leases)
    const ours = items.filter(({ event }) => held.has(event.lane))
    return { settled: ours.filter(record).length, fenced: items.length - ours.length }
  }

  #leaseOf(lane: number): LaneLease {
    return { lane, epoch: String(this.#outbox.lanes[lane]?.epoch) }
  }

  #answer(): void {
    if (this.failures === 0) return
    this.failures--
    throw new SluiceError('database', 'the database is away', { retryable: true })
  }
}

function nameOf({ topic, key }: OutboxEvent): string {
  return JSON.stringify([topic, key])
}
