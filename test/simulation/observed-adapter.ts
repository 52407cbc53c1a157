import type { Reservation, ReserveOptions } from '../../src/outbox/adapter.ts'
import { LeasedAdapter, type LeasedAdapterParts } from '../../src/outbox/leased-adapter.ts'
import type { World } from './world.ts'

/** The real adapter, with an eye on what it owes: no lane is in two live reservations under one lease. */
export class ObservedAdapter extends LeasedAdapter {
  readonly #world: World
  readonly #replica: string
  readonly #live = new Set<Reservation>()

  constructor(world: World, replica: string, parts: LeasedAdapterParts) {
    super(parts)
    this.#world = world
    this.#replica = replica
  }

  override async reserveNewEvents(
    limit: number,
    reserveDurationMs: number,
    options: ReserveOptions,
  ): Promise<Reservation | null> {
    const reservation = await super.reserveNewEvents(limit, reserveDurationMs, options)
    if (reservation === null) return null
    for (const { lane, epoch } of reservation.leases) {
      const isTwice = [...this.#live].some(({ leases }) =>
        leases.some(lease => lease.lane === lane && lease.epoch === epoch),
      )
      if (!isTwice) continue
      const { ledger } = this.#world
      ledger.violation(`overlap: two reservations of ${this.#replica} hold lane ${lane}/${epoch}`)
    }
    this.#live.add(reservation)
    return reservation
  }

  override release(reservation: Reservation): void {
    this.#live.delete(reservation)
    super.release(reservation)
  }
}
