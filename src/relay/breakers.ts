/**
 * Circuit breakers: one for the cluster, one for each topic that fails. While one is open its events are not even
 * reserved; half-open admits one event, the canary, and its outcome decides. They count only what is no event's
 * fault, so a poison event cannot open one, and nothing that they hold back spends an attempt.
 *
 * opossum keeps the states. The publishing itself runs outside of it and its result is fed in afterwards: opossum's
 * own time-out would call a late success a failure. A breaker exists from a destination's first failure to its next
 * success, so that three failures in a row open it however many successes there were before.
 */
import CircuitBreaker from 'opossum'
import type { BreakerState, RelayListener } from '../events.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { Outcome, Unknown } from './producer.ts'

/** Failed batches in a row, within the window, that open a breaker. */
const FAILURES_TO_OPEN = 3
const WINDOW_MS = 60_000
/** Breakers at once; beyond it a topic's failures are only backed off from. */
const BREAKERS_MAX = 1_000
const CLUSTER = 'cluster'

type Breaker = CircuitBreaker<[Unknown], void>

export class Breakers {
  readonly #resetMs: number
  readonly #emit: RelayListener
  readonly #breakers = new Map<string, Breaker>()
  /** Breakers whose canary is on its way. */
  readonly #probing = new Set<string>()

  /** @param resetMs how long a breaker stays open before the next canary */
  constructor(resetMs: number, emit: RelayListener) {
    this.#resetMs = resetMs
    this.#emit = emit
  }

  /** How many events may be reserved now: none while the cluster is down, one as its canary, else `limit`. */
  reservable(limit: number): number {
    if (this.#isShut(CLUSTER)) return 0
    return this.#isClosed(CLUSTER) ? limit : 1
  }

  /** Topics whose events need not be reserved. */
  shutTopics(): string[] {
    return [...this.#breakers.keys()]
      .filter(name => name !== CLUSTER && this.#isShut(name))
      .map(name => name.slice('topic:'.length))
  }

  /** Names of the breakers that are not closed. */
  openNames(): string[] {
    return [...this.#breakers.keys()].filter(name => !this.#isClosed(name))
  }

  /**
   * Those of the events that may be sent now, in their order; of a half-open destination the first only. What is
   * admitted must come back through `record`.
   */
  admit(events: readonly OutboxEvent[]): readonly OutboxEvent[] {
    if (this.#breakers.size === 0) return events
    return events.filter(({ topic }) => {
      const names = namesOf(topic)
      if (names.some(name => this.#isShut(name))) return false
      for (const name of names) if (!this.#isClosed(name)) this.#probing.add(name)
      return true
    })
  }

  /** Feeds the outcomes of a batch, `outcomes[i]` being that of `events[i]`. */
  record(events: readonly OutboxEvent[], outcomes: readonly Outcome[]): void {
    const failures = new Map<string, Unknown>()
    const reached = new Set<string>()
    events.forEach(({ topic }, index) => {
      const outcome = outcomes[index]
      if (outcome === undefined || (outcome.kind === 'unknown' && outcome.fault === 'held')) return
      const [cluster, ofTopic] = namesOf(topic)
      if (outcome.kind !== 'unknown') reached.add(cluster).add(ofTopic)
      else if (outcome.scope === 'cluster') failures.set(cluster, outcome)
      else {
        failures.set(ofTopic, outcome)
        // The brokers did answer: the cluster as such is there.
        reached.add(cluster)
      }
    })
    for (const name of reached) this.#succeed(name)
    for (const [name, failure] of failures) if (!reached.has(name)) this.#fail(name, failure)
    for (const { topic } of events) for (const name of namesOf(topic)) this.#probing.delete(name)
  }

  stop(): void {
    for (const breaker of this.#breakers.values()) breaker.shutdown()
    this.#breakers.clear()
  }

  #isClosed(name: string): boolean {
    return this.#breakers.get(name)?.closed ?? true
  }

  /** Open, or half-open with its canary on the way. */
  #isShut(name: string): boolean {
    const breaker = this.#breakers.get(name)
    return breaker !== undefined && !breaker.closed && (breaker.opened || this.#probing.has(name))
  }

  #succeed(name: string): void {
    const breaker = this.#breakers.get(name)
    if (breaker === undefined || breaker.opened) return
    breaker.close()
    breaker.shutdown()
    this.#breakers.delete(name)
  }

  #fail(name: string, failure: Unknown): void {
    const breaker = this.#breakers.get(name) ?? this.#create(name)
    // An open breaker refuses the result of a batch that was under way when it opened: nothing is lost by that.
    breaker?.fire(failure).catch(() => {})
  }

  #create(name: string): Breaker | undefined {
    if (this.#breakers.size >= BREAKERS_MAX) return undefined
    let reason = ''
    const breaker: Breaker = new CircuitBreaker(
      async (failure: Unknown) => {
        reason = `${failure.code}: ${failure.message}`
        throw new Error(failure.code)
      },
      {
        name,
        timeout: false,
        resetTimeout: this.#resetMs,
        errorThresholdPercentage: 50,
        volumeThreshold: FAILURES_TO_OPEN,
        rollingCountTimeout: WINDOW_MS,
        rollingCountBuckets: 6,
        rollingPercentilesEnabled: false,
        enableSnapshots: false,
      },
    )
    const tell = (state: BreakerState) =>
      this.#emit({ kind: 'breaker_changed', breaker: name, state, reason })
    breaker.on('open', () => tell('open'))
    breaker.on('halfOpen', () => tell('half_open'))
    breaker.on('close', () => tell('closed'))
    this.#breakers.set(name, breaker)
    return breaker
  }
}

function namesOf(topic: string): [cluster: string, ofTopic: string] {
  return [CLUSTER, `topic:${topic}`]
}
