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
import type { EventStore, IdStore, Reading } from './event-store.ts'
import { LaneLeases } from './lane-leases.ts'
import { LaneStarts } from './lane-starts.ts'
import type { HeldLease, LaneStore, Survey } from './lane-store.ts'
import { LowWater } from './low-water.ts'

/** PORT: what wakes a relay that waits for events. */
export interface Bell {
  /** As `OutboxAdapter.awaitEvents`. */
  await(withinMs: number, signal: AbortSignal): Promise<void>
}

export interface LeasedAdapterParts {
  readonly lanes: LaneStore
  readonly events: EventStore
  readonly ids: IdStore
  /** Length of a lane's lease until the first reservation asks for another. */
  readonly reserveMs: number
  readonly emit: RelayListener
  /** Rings when events have been written; without it `awaitEvents` merely waits. */
  readonly bell?: Bell | null | undefined
  /** Told at each look round. */
  readonly onSurvey?: ((survey: Survey) => void) | undefined
}

const BACKOFF_MS_MAX = 500

/** An outbox whose lanes are leased: the leases in front of the stores. */
export class LeasedAdapter implements OutboxAdapter {
  readonly #leases: LaneLeases
  readonly #events: EventStore
  readonly #lowWater: LowWater
  readonly #starts: LaneStarts
  readonly #bell: Bell
  readonly #emit: RelayListener
  readonly #onSurvey: (survey: Survey) => void
  readonly #stop = new AbortController()
  readonly #keepingLeases: Promise<void>
  readonly #keepingMarks: Promise<void>

  constructor(parts: LeasedAdapterParts) {
    const { lanes, events, ids, reserveMs, bell, emit, onSurvey = () => {} } = parts
    this.#bell = bell ?? { await: pause }
    this.#emit = emit
    this.#onSurvey = onSurvey
    this.#leases = new LaneLeases(lanes, reserveMs, emit)
    this.#events = events
    this.#lowWater = new LowWater(ids, found => emit({ kind: 'below_low_water', lanes: found }))
    this.#starts = new LaneStarts(this.#lowWater)
    this.#keepingLeases = this.#keepLeases()
    this.#keepingMarks = this.#keepMarks()
  }

  /** Rejects when a loop that keeps the leases or the marks has died; resolves after `stop`. */
  get completed(): Promise<void> {
    return Promise.all([this.#keepingLeases, this.#keepingMarks]).then(() => {})
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
      const { events } = await this.#read(lanes, limit, options)
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

  async awaitEvents(withinMs: number, signal: AbortSignal): Promise<void> {
    await this.#bell.await(withinMs, signal)
  }

  release({ leases }: Reservation): void {
    this.#leases.release(leases)
  }

  async stop(): Promise<void> {
    if (this.#stop.signal.aborted) return
    this.#stop.abort()
    await this.#keepingLeases
    await this.#leases.leave()
    await this.#keepingMarks
  }

  async #read(
    lanes: readonly HeldLease[],
    limit: number,
    { exceptTopics, bytesMax }: ReserveOptions,
  ): Promise<Reading> {
    const except = [...new Set([...exceptTopics, ...this.#leases.pausedTopics])]
    const entry = this.#starts.enter(lanes, except)
    try {
      const reading = await this.#events.read(entry.starts, limit, {
        exceptTopics: except,
        bytesMax,
      })
      this.#starts.found(entry, reading)
      if (reading.unflushedUpTo !== null) await this.#events.awaitFlush(reading.unflushedUpTo)
      return reading
    } catch (error) {
      this.#starts.reset()
      throw error
    }
  }

  async #keepLeases(): Promise<void> {
    await this.#keep(
      async () => this.#onSurvey(await this.#leases.keep()),
      () => this.#leases.dueInMs,
    )
  }

  /** A loop of its own: it reads `outbox.events`, and a lock on that table must cost no lease. */
  async #keepMarks(): Promise<void> {
    await this.#keep(
      () => this.#lowWater.advance(this.#leases.held),
      () => this.#lowWater.dueInMs,
    )
  }

  /** Rejects never: what fails is told and tried again. */
  async #keep(work: () => Promise<void>, dueInMs: () => number): Promise<void> {
    const { signal } = this.#stop
    let failures = 0
    while (!signal.aborted) {
      try {
        await work()
        failures = 0
        await pause(dueInMs(), signal)
      } catch (error) {
        this.#starts.reset()
        this.#emit({ kind: 'reserve_failed', error })
        failures++
        await pause(Math.min(BACKOFF_MS_MAX, 50 * 2 ** failures), signal)
      }
    }
  }
}
