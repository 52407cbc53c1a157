/**
 * The lanes that this replica holds, and how it comes by them.
 *
 * States of a lane, seen from here: unheld → held → (reserved ⇄ held) → unheld.
 * - A lane is acquired when nobody owns it or its lease has run out; its epoch rises by one.
 * - A lease is renewed every third of its length. It is trusted until
 *   `start of the renewal + length − margin`: anchored at the start, so that a slow answer cannot stretch it.
 *   Both ends of the lease in the database are by the database's clock; only the length is measured here.
 * - A lane whose trust has run out is not read and nothing of it is sent. If the renewal comes through before
 *   anyone has taken the lane, its epoch is unchanged and work goes on; otherwise it is lost.
 * - Lanes above the fair share, 64 / live replicas, are given up as soon as no reservation uses them.
 *
 * Invariant: two live reservations of any replicas never share a lane, but for a zombie's, which sends nothing
 * after its trust has run out and whose confirms a newer epoch refuses.
 */

import type { RelayListener } from '../events.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import type { LaneLease } from './adapter.ts'
import type { HeldLease, LaneStore, Survey } from './lane-store.ts'

export const LANES = 64

/**
 * How often a look at the other replicas happens: bounds how long a free lane stays unowned, and how long a pause
 * takes to be noticed.
 */
const SURVEY_MS = 400

interface HeldLane extends HeldLease {
  trustedUntilMs: number
  reserved: boolean
}

export class LaneLeases {
  readonly #store: LaneStore
  readonly #emit: RelayListener
  readonly #held = new Map<number, HeldLane>()
  /** Epochs of lanes that were given up: the answer may be lost, and the statement be carried out late. */
  readonly #givenUp = new Map<number, string>()
  #leaseMs: number
  #renewDueMs = 0
  #surveyDueMs = 0
  /** Where the next reading starts, so that each lane gets its turn. */
  #nextTurn = 0
  #pausedLanes: ReadonlySet<number> = new Set()
  #pausedTopics: readonly string[] = []

  constructor(store: LaneStore, leaseMs: number, emit: RelayListener) {
    this.#store = store
    this.#leaseMs = leaseMs
    this.#emit = emit
  }

  /** Milliseconds until `keep` has something to do. */
  get dueInMs(): number {
    return Math.max(0, Math.min(this.#renewDueMs, this.#surveyDueMs) - monotonicMs())
  }

  /** Sets the length of leases taken or renewed from now on. */
  set leaseMs(leaseMs: number) {
    this.#leaseMs = leaseMs
  }

  get pausedTopics(): readonly string[] {
    return this.#pausedTopics
  }

  /** All lanes that are held, reserved or not. */
  get held(): readonly HeldLease[] {
    return [...this.#held.values()]
  }

  /** Renews what is due, takes free lanes up to the fair share, gives up those above it. */
  async keep(): Promise<Survey> {
    if (monotonicMs() >= this.#renewDueMs) await this.renew()
    const survey = await this.#store.survey()
    const { live, free } = survey
    // Before lanes are taken: nothing that is paused may be read from them.
    this.#pausedLanes = new Set(survey.pausedLanes)
    this.#pausedTopics = survey.pausedTopics
    const share = Math.ceil(LANES / Math.max(1, live))
    const wanted = Math.min(share - this.#held.size, free)
    if (wanted > 0) await this.#acquire(wanted)
    if (wanted < 0) await this.#giveUp(this.#idleLanes().slice(0, -wanted), 'handed_over')
    this.#surveyDueMs = monotonicMs() + SURVEY_MS * (0.75 + Math.random() / 2)
    return survey
  }

  /**
   * Takes all held lanes that nobody uses, nobody has paused, and whose lease is good for at least `trustMs`, the next
   * in turn first. They are the caller's until `release`.
   */
  take(trustMs: number): HeldLease[] {
    const until = monotonicMs() + trustMs
    const lanes = this.#idleLanes().filter(
      ({ lane, trustedUntilMs }) => trustedUntilMs >= until && !this.#pausedLanes.has(lane),
    )
    lanes.sort((a, b) => turnOf(a, this.#nextTurn) - turnOf(b, this.#nextTurn))
    for (const lane of lanes) lane.reserved = true
    return lanes
  }

  /** The next reading begins behind the last of these lanes. */
  turnTo(leases: readonly LaneLease[]): void {
    const last = leases.at(-1)
    if (last) this.#nextTurn = (last.lane + 1) % LANES
  }

  /** Until when all these leases are trusted; 0 if one is no longer held under its epoch. */
  trustedUntilMs(leases: readonly LaneLease[]): number {
    return leases.reduce((until, { lane, epoch }) => {
      const held = this.#held.get(lane)
      return held?.epoch === epoch ? Math.min(until, held.trustedUntilMs) : 0
    }, Number.POSITIVE_INFINITY)
  }

  release(leases: readonly LaneLease[]): void {
    for (const { lane, epoch } of leases) {
      const held = this.#held.get(lane)
      if (held?.epoch === epoch) held.reserved = false
    }
  }

  /** Gives all lanes back and leaves the list of replicas. */
  async leave(): Promise<void> {
    await this.#giveUp([...this.#held.values()], 'stopping')
    await this.#store.forgetReplica()
  }

  /** Renews all leases now. Lanes that are no longer ours are forgotten. */
  async renew(): Promise<void> {
    const startedMs = monotonicMs()
    const leaseMs = this.#leaseMs
    const renewed = await this.#store.renew(leaseMs)
    this.#renewDueMs = startedMs + leaseMs / 3
    const lost = new Set(this.#held.keys())
    const again: HeldLease[] = []
    for (const lease of renewed) {
      const { lane, epoch, lowWater } = lease
      if (this.#givenUp.get(lane) === epoch) {
        again.push(lease)
        continue
      }
      const trustedUntilMs = trustedUntil(startedMs, leaseMs)
      const held = this.#held.get(lane)
      // A lane that is ours in the database but not here: the answer to its acquisition got lost.
      if (held?.epoch === epoch) held.trustedUntilMs = trustedUntilMs
      else this.#held.set(lane, { lane, epoch, lowWater, trustedUntilMs, reserved: false })
      lost.delete(lane)
    }
    for (const lane of lost) this.#held.delete(lane)
    if (lost.size > 0) this.#tellGivenUp([...lost], 'lost')
    if (again.length > 0) await this.#store.giveUp(again)
  }

  async #acquire(count: number): Promise<void> {
    const startedMs = monotonicMs()
    const leaseMs = this.#leaseMs
    const acquired = await this.#store.acquire(count, leaseMs)
    const trustedUntilMs = trustedUntil(startedMs, leaseMs)
    for (const lease of acquired) {
      this.#held.set(lease.lane, { ...lease, trustedUntilMs, reserved: false })
    }
    if (acquired.length === 0) return
    const lanes = acquired.map(({ lane }) => lane)
    this.#emit({ kind: 'lanes_leased', lanes, holding: this.#held.size })
  }

  async #giveUp(lanes: readonly HeldLane[], reason: 'handed_over' | 'stopping'): Promise<void> {
    if (lanes.length === 0) return
    // Forgotten first: should the answer get lost, the lanes are no longer ours to read.
    for (const { lane, epoch } of lanes) {
      this.#held.delete(lane)
      this.#givenUp.set(lane, epoch)
    }
    this.#tellGivenUp(
      lanes.map(({ lane }) => lane),
      reason,
    )
    await this.#store.giveUp(lanes)
  }

  #tellGivenUp(lanes: number[], reason: 'handed_over' | 'lost' | 'stopping'): void {
    this.#emit({ kind: 'lanes_given_up', lanes, holding: this.#held.size, reason })
  }

  #idleLanes(): HeldLane[] {
    return [...this.#held.values()].filter(lane => !lane.reserved)
  }
}

function trustedUntil(startedMs: number, leaseMs: number): number {
  return startedMs + leaseMs - Math.max(50, leaseMs / 20)
}

function turnOf({ lane }: LaneLease, nextTurn: number): number {
  return (lane - nextTurn + LANES) % LANES
}
