import type { OutboxEvent } from '../../src/outbox/event.ts'
import type { Send } from './ledger.ts'
import type { World } from './world.ts'

/** What must hold whenever a replica sends something. */
export class SendChecks {
  readonly #world: World
  readonly #replica: string
  /** Batches that are being published, and until when. */
  readonly #batches = new Map<readonly OutboxEvent[], number>()

  constructor(world: World, replica: string) {
    this.#world = world
    this.#replica = replica
  }

  /** No two of a replica's batches that may still be sent share a lane. */
  begin(events: readonly OutboxEvent[], untilMs: number): void {
    const { time, ledger } = this.#world
    const lanes = new Set(events.map(({ lane }) => lane))
    for (const [others, othersUntilMs] of this.#batches) {
      const shared = others.find(({ lane }) => lanes.has(lane))
      if (shared === undefined || othersUntilMs <= time.nowMs) continue
      ledger.violation(`overlap: two batches of ${this.#replica} are of lane ${shared.lane}`)
    }
    this.#batches.set(events, untilMs)
  }

  end(events: readonly OutboxEvent[]): void {
    this.#batches.delete(events)
  }

  /** Whoever sends a lane's events has its lease, by the database's clock. */
  send(events: readonly OutboxEvent[]): Send {
    const { server, ledger, history, time } = this.#world
    history.add(this.#replica, `sends ${events.map(({ eventId }) => eventId).join(' ')}`)
    for (const { lane } of events) {
      const { owner, leasedUntilMs } = server.lanes[lane]!
      if (owner === this.#replica && leasedUntilMs > server.nowMs) continue
      const state = owner === this.#replica ? 'run out' : `${owner}'s`
      ledger.violation(
        `lease: ${this.#replica} sends events of lane ${lane} whose lease is ${state}`,
      )
      break
    }
    const epochs = events.map(({ lane }) => server.lanes[lane]!.epoch)
    return { replica: this.#replica, begunMs: time.nowMs, epochs, cause: null, ackedMs: null }
  }
}
