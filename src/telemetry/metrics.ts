import { type Counter, collectDefaultMetrics, type Histogram, Registry } from 'prom-client'
import type { BreakerState, RelayEvent, RelayListener } from '../events.ts'
import { LabelSet } from './label-set.ts'
import { defineMetrics, type MetricSet } from './metric-set.ts'

/** What only a look from time to time can tell. */
export interface BacklogFacts {
  /** Waiting events, counted to a cap. */
  readonly waiting: number
  /** null when no event is due. */
  readonly oldestDueAgeSeconds: number | null
  /** Counted to a cap. */
  readonly deadLetters: number
}

export interface MetricsOptions {
  readonly version: string
  readonly kafkaClient: string
  /** The one to add to: one per relay, because a name can be taken once only. Default: a new one. */
  readonly registry?: Registry
}

export interface Metrics {
  readonly listener: RelayListener
  readonly registry: Registry
  observeBacklog(facts: BacklogFacts): void
}

const TOPICS_MAX = 200
const REASONS_MAX = 50
const BREAKER_STATES: readonly BreakerState[] = ['closed', 'open', 'half_open']

/** Counts what the relay tells, under the names in `metric-set.ts`. */
export function createMetrics(options: MetricsOptions): Metrics {
  const { version, kafkaClient, registry = new Registry() } = options
  const set = defineMetrics(registry)
  // In a registry of the application's the process' own metrics may be there already.
  if (!registry.getSingleMetric('process_cpu_seconds_total')) {
    collectDefaultMetrics({ register: registry })
  }
  set.buildInfo.set({ version, node: process.version, kafka_client: kafkaClient }, 1)
  set.kafkaUp.set(1)
  return {
    registry,
    listener: new EventCounter(set).count,
    observeBacklog: facts => {
      set.pendingEvents.set(facts.waiting)
      set.oldestPendingAge.set(facts.oldestDueAgeSeconds ?? 0)
      set.deadLetters.set(facts.deadLetters)
    },
  }
}

interface TopicChildren {
  readonly published: Counter.Internal
  readonly bytes: Counter.Internal
  readonly latency: Histogram.Internal<string>
}

class EventCounter {
  readonly #set: MetricSet
  readonly #topics = new LabelSet(TOPICS_MAX)
  readonly #reasons = new LabelSet(REASONS_MAX)
  readonly #breakers = new LabelSet(TOPICS_MAX)
  /** Resolving labels costs more than counting. */
  readonly #children = new Map<string, TopicChildren>()

  constructor(set: MetricSet) {
    this.#set = set
  }

  readonly count: RelayListener = event => {
    const set = this.#set
    switch (event.kind) {
      case 'lanes_leased':
        set.lanesOwned.set(event.holding)
        set.leaseAcquisitions.inc(event.lanes.length)
        break
      case 'lanes_given_up':
        set.lanesOwned.set(event.holding)
        if (event.reason === 'lost') set.leasesLost.inc(event.lanes.length)
        break
      case 'reserved':
        set.polls.inc({ result: event.events > 0 ? 'rows' : 'empty' })
        set.databaseUp.set(1)
        set.reserveDuration.observe(event.durationMs / 1_000)
        break
      case 'reserve_failed':
        set.polls.inc({ result: 'error' })
        set.databaseUp.set(0)
        break
      case 'published':
        this.#published(event)
        break
      case 'batch_published':
        set.batchEvents.observe(event.events)
        set.publishDuration.observe(event.durationMs / 1_000)
        break
      case 'confirmed':
        if (event.fenced > 0) set.fencedWrites.inc(event.fenced)
        set.confirmDuration.observe(event.durationMs / 1_000)
        break
      case 'confirm_failed':
        set.confirmFailures.inc()
        break
      default:
        this.#countTrouble(event)
    }
  }

  #countTrouble(event: RelayEvent): void {
    const set = this.#set
    switch (event.kind) {
      case 'publish_failed': {
        const reason = this.#reasons.bound(event.code)
        const topic = this.#topics.bound(event.topic)
        set.publishFailures.inc({ topic, reason, fault: event.fault }, event.events)
        break
      }
      case 'retry_scheduled':
        set.retried.inc(this.#refusal(event))
        break
      case 'dead_lettered':
        set.deadLettered.inc(this.#refusal(event))
        break
      case 'breaker_changed':
        this.#breakerChanged(event.breaker, event.state)
    }
  }

  #refusal({ topic, reason }: { topic: string; reason: string }) {
    return { topic: this.#topics.bound(topic), reason: this.#reasons.bound(reason) }
  }

  #published({
    topic,
    acked,
    bytes,
    latenciesSeconds,
  }: Extract<RelayEvent, { kind: 'published' }>) {
    const children = this.#childrenOf(this.#topics.bound(topic))
    if (acked === 0) return
    children.published.inc(acked)
    children.bytes.inc(bytes)
    for (const seconds of latenciesSeconds) children.latency.observe(Math.max(0, seconds))
    this.#set.lastPublish.setToCurrentTime()
  }

  #childrenOf(topic: string): TopicChildren {
    let children = this.#children.get(topic)
    if (children === undefined) {
      const { published, publishedBytes, publishLatency } = this.#set
      children = {
        published: published.labels(topic),
        bytes: publishedBytes.labels(topic),
        latency: publishLatency.labels(topic),
      }
      this.#children.set(topic, children)
    }
    return children
  }

  #breakerChanged(name: string, state: BreakerState): void {
    const breaker = this.#breakers.bound(name)
    this.#set.breakerTransitions.inc({ breaker, to: state })
    for (const one of BREAKER_STATES) {
      this.#set.breakerState.set({ breaker, state: one }, one === state ? 1 : 0)
    }
    if (name === 'cluster') this.#set.kafkaUp.set(state === 'closed' ? 1 : 0)
  }
}
