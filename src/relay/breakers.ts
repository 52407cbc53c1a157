/**
 * Circuit breakers: one for the cluster, one for each topic that fails. While one is open its events are not even
 * reserved; half-open admits one event, the canary, and its outcome decides. They count only what is no event's
 * fault, so a poison event cannot open one, and nothing that they hold back spends an attempt.
 *
 * What another replica has open is suspected here: the next batch is a canary too, and if it fails the breaker opens
 * at once. More than suspicion would let one replica's broken network stop all.
 */
import type { RelayListener } from '../events.ts'
import { DestinationBreaker } from '../internal/destination-breaker.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { Outcome, Unknown } from './producer.ts'

/** Breakers at once; beyond it a topic's failures are only backed off from. */
const BREAKERS_MAX = 1_000
const CLUSTER = 'cluster'
const TOPIC = 'topic:'
/**
 * After a fault of the cluster batches begin this small and grow fourfold with each that arrives. A full one at once
 * may take brokers that have just come back longer than its deadline, and then goes out again as a whole.
 */
const BATCH_AFTER_FAULT = 64
const BATCH_GROWTH = 4
/** No batch is larger: the limit is lifted. */
const BATCH_MAX = 10_000

export class Breakers {
  readonly #resetMs: number
  readonly #emit: RelayListener
  readonly #breakers = new Map<string, DestinationBreaker>()
  /** What other replicas had open when last told. */
  #elsewhere: ReadonlySet<string> = new Set()
  #batchMax = BATCH_MAX

  /** @param resetMs how long a breaker stays open before the next canary */
  constructor(resetMs: number, emit: RelayListener) {
    this.#resetMs = resetMs
    this.#emit = emit
  }

  /**
   * How many events may be reserved now: none while the cluster is down, one as its canary, few after a fault, else
   * `limit`.
   */
  reservable(limit: number): number {
    if (this.#isShut(CLUSTER)) return 0
    return this.#isClosed(CLUSTER) ? Math.min(limit, this.#batchMax) : 1
  }

  /** Topics whose events need not be reserved. */
  shutTopics(): string[] {
    return this.#namesWhere(breaker => breaker.shut)
      .filter(name => name !== CLUSTER)
      .map(name => name.slice(TOPIC.length))
  }

  /** Names of the breakers that are open or half-open by this replica's own experience. */
  openNames(): string[] {
    return this.#namesWhere(breaker => breaker.failing)
  }

  /** Takes notice of the breakers that other replicas have open now; only what is new among them is suspected. */
  suspect(names: readonly string[]): void {
    const now = new Set(names)
    for (const name of now) {
      const known = name === CLUSTER || name.startsWith(TOPIC)
      if (known && !this.#elsewhere.has(name)) this.#breakerOf(name)?.suspect()
    }
    for (const name of this.#elsewhere) {
      if (now.has(name)) continue
      this.#breakers.get(name)?.acquit()
      this.#forgetIdle(name)
    }
    this.#elsewhere = now
  }

  /**
   * Those of the events that may be sent now, in their order; of a half-open destination the first only. What is
   * admitted must come back through `record`.
   */
  admit(events: readonly OutboxEvent[]): readonly OutboxEvent[] {
    if (this.#breakers.size === 0) return events
    return events.filter(({ topic }) => {
      const breakers = namesOf(topic).map(name => this.#breakers.get(name))
      if (breakers.some(breaker => breaker?.shut)) return false
      for (const breaker of breakers) if (breaker?.closed === false) breaker.probe()
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
    if (reached.has(CLUSTER)) this.#batchMax = Math.min(BATCH_MAX, this.#batchMax * BATCH_GROWTH)
    else if (failures.has(CLUSTER)) this.#batchMax = BATCH_AFTER_FAULT
    for (const name of reached) this.#succeed(name)
    for (const [name, { code, message }] of failures) {
      if (!reached.has(name)) this.#breakerOf(name)?.fail(`${code}: ${message}`)
    }
    for (const { topic } of events) {
      for (const name of namesOf(topic)) this.#breakers.get(name)?.probeEnded()
    }
  }

  stop(): void {
    for (const breaker of this.#breakers.values()) breaker.stop()
    this.#breakers.clear()
  }

  #isClosed(name: string): boolean {
    return this.#breakers.get(name)?.closed ?? true
  }

  #isShut(name: string): boolean {
    return this.#breakers.get(name)?.shut ?? false
  }

  #namesWhere(holds: (breaker: DestinationBreaker) => boolean): string[] {
    return [...this.#breakers].filter(([, breaker]) => holds(breaker)).map(([name]) => name)
  }

  #succeed(name: string): void {
    this.#breakers.get(name)?.succeed()
    this.#forgetIdle(name)
  }

  #forgetIdle(name: string): void {
    if (this.#breakers.get(name)?.idle) this.#breakers.delete(name)
  }

  #breakerOf(name: string): DestinationBreaker | undefined {
    const known = this.#breakers.get(name)
    if (known || this.#breakers.size >= BREAKERS_MAX) return known
    const breaker = new DestinationBreaker(this.#resetMs, (state, reason) =>
      this.#emit({ kind: 'breaker_changed', breaker: name, state, reason }),
    )
    this.#breakers.set(name, breaker)
    return breaker
  }
}

function namesOf(topic: string): [cluster: string, ofTopic: string] {
  return [CLUSTER, `${TOPIC}${topic}`]
}
