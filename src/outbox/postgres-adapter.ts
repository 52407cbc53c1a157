import type { RelayListener } from '../events.ts'
import { pause } from '../internal/pause.ts'
import type {
  FailedEvent,
  LaneLease,
  OutboxAdapter,
  PublishedEvent,
  Reservation,
  ReserveOptions,
  Settled,
} from './adapter.ts'
import type { Database } from './database.ts'
import { EventTable } from './event-table.ts'
import { LaneLeases } from './lane-leases.ts'
import { LaneTable, type ReplicaIdentity } from './lane-table.ts'

export interface PostgresAdapterOptions {
  readonly database: Database
  readonly identity: ReplicaIdentity
  /** Length of a lane's lease until the first reservation asks for another. */
  readonly reserveMs: number
  /** 0: confirmed events are deleted; above: they move to `outbox.published`. */
  readonly retentionMs: number
  readonly emit: RelayListener
}

/** The outbox in PostgreSQL: lane leases in front of the tables. */
export class PostgresAdapter implements OutboxAdapter {
  readonly #leases: LaneLeases
  readonly #events: EventTable
  readonly #emit: RelayListener
  readonly #stop = new AbortController()
  readonly #keeping: Promise<void>

  constructor(options: PostgresAdapterOptions) {
    const { database, identity, reserveMs, retentionMs, emit } = options
    this.#emit = emit
    this.#leases = new LaneLeases(new LaneTable(database, identity), reserveMs, emit)
    this.#events = new EventTable(database, identity.replica, retentionMs > 0)
    this.#keeping = this.#keepLeases()
  }

  /** Rejects when the loop that keeps the leases has died; resolves after `stop`. */
  get completed(): Promise<void> {
    return this.#keeping
  }

  async reserveNewEvents(
    limit: number,
    reserveDurationMs: number,
    options: ReserveOptions,
  ): Promise<Reservation | null> {
    this.#leases.leaseMs = reserveDurationMs
    // Half of the lease is what a publish may take; renewals keep it above two thirds while all is well.
    // They are marked before the reading, so that another call that comes meanwhile cannot read them too.
    const lanes = this.#leases.take(reserveDurationMs / 2)
    if (lanes.length === 0) return null
    let leases: LaneLease[] = []
    try {
      const events = await this.#events.read(lanes, limit, options)
      const used = new Set(events.map(event => event.lane))
      leases = lanes.filter(({ lane }) => used.has(lane))
      if (leases.length === 0) return null
      this.#leases.turnTo(leases)
      return { events, leases, trustedUntilMs: this.#leases.trustedUntilMs(leases) }
    } finally {
      this.#leases.release(lanes.filter(lane => !leases.includes(lane)))
    }
  }

  async confirm({ leases }: Reservation, published: readonly PublishedEvent[]): Promise<Settled> {
    return this.#events.confirm(leases, published)
  }

  async confirmFailed({ leases }: Reservation, failures: readonly FailedEvent[]): Promise<Settled> {
    return this.#events.confirmFailed(leases, failures)
  }

  async renew({ leases }: Reservation, reserveDurationMs: number): Promise<number> {
    this.#leases.leaseMs = reserveDurationMs
    await this.#leases.renew()
    return this.#leases.trustedUntilMs(leases)
  }

  release({ leases }: Reservation): void {
    this.#leases.release(leases)
  }

  async stop(): Promise<void> {
    if (this.#stop.signal.aborted) return
    this.#stop.abort()
    await this.#keeping
    await this.#leases.leave()
  }

  async #keepLeases(): Promise<void> {
    const { signal } = this.#stop
    let failures = 0
    while (!signal.aborted) {
      try {
        await this.#leases.keep()
        failures = 0
        await pause(this.#leases.dueInMs, signal)
      } catch (error) {
        this.#emit({ kind: 'reserve_failed', error })
        failures++
        await pause(Math.min(1_000, 50 * 2 ** failures), signal)
      }
    }
  }
}
