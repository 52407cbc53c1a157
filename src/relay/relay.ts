import type { RelayListener } from '../events.ts'
import { pause } from '../internal/pause.ts'
import { Supervisor } from '../internal/supervisor.ts'
import type { OutboxAdapter } from '../outbox/adapter.ts'
import { Breakers } from './breakers.ts'
import type { Producer } from './producer.ts'
import { Publishing } from './publishing.ts'
import { Reserving } from './reserving.ts'
import type { RetryPolicy } from './retry-policy.ts'
import { Settling } from './settling.ts'
import { Slot, type SlotWork } from './slot.ts'

export interface RelayOptions extends RetryPolicy {
  /** Loops that reserve, publish and confirm side by side. */
  readonly slots: number
  readonly batchSize: number
  readonly batchBytesMax: number
  readonly reserveMs: number
  readonly publishTimeoutMs: number
  readonly pollMs: number
  readonly breakerResetMs: number
}

export interface RelayParts {
  readonly adapter: OutboxAdapter
  readonly producer: Producer
  readonly emit: RelayListener
}

/** The slots and what they share. Owns neither the adapter nor the producer. */
export class Relay {
  readonly #drain = new AbortController()
  readonly #abandon = new AbortController()
  readonly #supervisor = new Supervisor(this.#drain.signal)
  readonly #breakers: Breakers
  readonly #reserving: Reserving
  readonly #publishing: Publishing
  readonly #slots: Slot[]

  /** Starts at once. */
  constructor(options: RelayOptions, { adapter, producer, emit }: RelayParts) {
    const drain = this.#drain.signal
    const breakers = new Breakers(options.breakerResetMs, emit)
    const reserving = new Reserving({ ...options, adapter, breakers, emit }, drain)
    const publishing = new Publishing({ ...options, producer, breakers, emit })
    const abandon = this.#abandon.signal
    const settling = new Settling({ policy: options, adapter, emit, abandon })
    const work: SlotWork = {
      reserve: () => reserving.next(),
      publish: reservation => publishing.publish(reservation),
      settle: (reservation, attempts, turn) => settling.settle(reservation, attempts, drain, turn),
      release: reservation => reserving.release(reservation),
    }
    this.#breakers = breakers
    this.#reserving = reserving
    this.#publishing = publishing
    this.#slots = Array.from(
      { length: options.slots },
      (_, n) => new Slot(`slot ${n}`, work, drain),
    )
    for (const slot of this.#slots) this.#supervisor.watch(slot.name, slot.run())
  }

  /** Rejects when a slot has died. Never resolves. */
  get died(): Promise<never> {
    return this.#supervisor.died
  }

  /** Takes notice of the breakers that other replicas have open now. */
  suspect(breakers: readonly string[]): void {
    this.#breakers.suspect(breakers)
  }

  get facts() {
    return {
      loops: this.#slots.map(({ name, lastTurnAtMs }) => ({ name, lastTurnAtMs })),
      lastReserveOkAtMs: this.#reserving.lastOkAtMs,
      lastPublishOkAtMs: this.#publishing.lastOkAtMs,
      breakersOpen: this.#breakers.openNames(),
    }
  }

  /**
   * Reserves no more and settles what is in flight.
   * @param signal aborted: the grace is over
   * @returns false if that took longer than `graceMs`; the slots then end as soon as their producer lets go
   */
  async stop(graceMs: number, signal?: AbortSignal): Promise<boolean> {
    this.#drain.abort()
    this.#breakers.stop()
    const grace = new AbortController()
    const ended = this.#supervisor.ended().then(() => true)
    const ends = signal ? AbortSignal.any([grace.signal, signal]) : grace.signal
    const over = pause(graceMs, ends).then(() => false)
    const drained = await Promise.race([ended, over])
    grace.abort()
    if (!drained) this.#abandon.abort()
    return drained
  }
}
