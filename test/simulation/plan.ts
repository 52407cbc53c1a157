import type { RelayOptions } from '../../src/relay/relay.ts'
import { FAULT_KINDS, type FaultKind, TIMED_KINDS, type TimedKind } from './fault-kinds.ts'
import { between, intBetween, pick, type Random, randomStream } from './random.ts'

export interface PlannedFault {
  readonly kind: TimedKind
  readonly atMs: number
  readonly durationMs: number
  /** Chooses the replica, lane or topic that it hits; uniform in [0, 1). */
  readonly target: number
}

export interface PlannedEvent {
  readonly eventId: string
  readonly topic: string
  readonly key: string | null
  /** Refused this many times, then accepted; infinite: always. */
  readonly refusals: number
  /** Refused in a way that can never change. */
  readonly permanent: boolean
  readonly delayMs: number
  readonly expiresInMs: number
}

export interface PlannedTransaction {
  readonly atMs: number
  readonly events: readonly PlannedEvent[]
  readonly fate: 'commit' | 'rollback'
  readonly async: boolean
  /** Between its first id and its commit. */
  readonly openMs: number
  /** Between its commit record and its visibility. */
  readonly heldMs: number
}

export interface Plan {
  readonly seed: number
  readonly kinds: ReadonlySet<FaultKind>
  /** How long events are written and faults happen. */
  readonly activeMs: number
  readonly replicas: number
  readonly relay: RelayOptions
  readonly topics: readonly string[]
  readonly transactions: readonly PlannedTransaction[]
  readonly faults: readonly PlannedFault[]
}

export interface PlanRequest {
  readonly seed: number
  readonly eventsMax: number
  /** Kinds that are left out although the seed has them. */
  readonly without?: ReadonlySet<FaultKind>
  /** Cuts the end off: what would happen later does not. */
  readonly activeMsMax?: number
}

/** Everything that a seed decides beforehand. Leaving a kind out changes nothing of what the others do. */
export function planOf({ seed, eventsMax, without, activeMsMax }: PlanRequest): Plan {
  const random = randomStream(seed, 'plan')
  const kinds = kindsOf(seed, without)
  const wholeMs = between(random, 4_000, 16_000)
  const activeMs = Math.min(wholeMs, activeMsMax ?? wholeMs)
  const topics = Array.from({ length: intBetween(random, 1, 4) }, (_, n) => `topic-${n}`)
  const reserveMs = pick(random, [1_000, 2_000, 4_000, 10_000])
  const blocking = randomStream(seed, 'blocking topics')
  const relay: RelayOptions = {
    blockingTopics: topics.filter(() => blocking() < 0.5 && kinds.has('blocking')),
    slots: intBetween(random, 1, 4),
    batchSize: pick(random, [1, 3, 10, 50, 200]),
    batchBytesMax: pick(random, [200, 2_000, 1_000_000]),
    reserveMs,
    publishTimeoutMs: pick(random, [500, 1_500, 5_000]),
    pollMs: pick(random, [50, 200, 500]),
    breakerResetMs: pick(random, [500, 2_000, 8_000]),
    attemptsMax: intBetween(random, 1, 5),
    retryBaseMs: pick(random, [10, 100, 500]),
    retryMaxMs: pick(random, [200, 2_000]),
  }
  return {
    seed,
    kinds,
    activeMs,
    replicas: intBetween(random, 1, 4),
    relay,
    topics,
    transactions: transactionsOf(seed, { kinds, wholeMs, topics, eventsMax }).filter(
      ({ atMs }) => atMs < activeMs,
    ),
    faults: TIMED_KINDS.filter(kind => kinds.has(kind))
      .flatMap(kind => faultsOf(seed, kind, wholeMs, reserveMs))
      .filter(({ atMs }) => atMs < activeMs)
      .sort((a, b) => a.atMs - b.atMs),
  }
}

function kindsOf(seed: number, without: ReadonlySet<FaultKind> = new Set()): Set<FaultKind> {
  const random = randomStream(seed, 'kinds')
  const share = pick(random, [0, 0.05, 0.15, 0.15, 0.3, 0.5])
  return new Set(FAULT_KINDS.filter(kind => random() < share && !without.has(kind)))
}

function faultsOf(seed: number, kind: TimedKind, wholeMs: number, leaseMs: number): PlannedFault[] {
  const random = randomStream(seed, `faults of kind ${kind}`)
  return Array.from({ length: intBetween(random, 1, 4) }, () => ({
    kind,
    atMs: random() * wholeMs,
    durationMs: durationOf(random, kind, leaseMs),
    target: random(),
  }))
}

function durationOf(random: Random, kind: TimedKind, leaseMs: number): number {
  const long = random() < 0.5
  // Short enough, sometimes, that nobody notices.
  if (kind === 'database_crash')
    return long ? between(random, 500, 4_000) : between(random, 20, 300)
  if (kind === 'freeze' || kind === 'database_cut_off') {
    return long ? leaseMs * between(random, 0.8, 3) : between(random, 50, 1_000)
  }
  return long ? between(random, 1_000, 8_000) : between(random, 100, 1_000)
}

interface WritingPlan {
  readonly kinds: ReadonlySet<FaultKind>
  readonly wholeMs: number
  readonly topics: readonly string[]
  readonly eventsMax: number
}

function transactionsOf(seed: number, plan: WritingPlan): PlannedTransaction[] {
  const random = randomStream(seed, 'transactions')
  const events = intBetween(random, Math.ceil(plan.eventsMax / 10), plan.eventsMax)
  const keys = Array.from({ length: pick(random, [1, 4, 20, 100]) }, (_, n) => `key-${n}`)
  const bursts = random() < 0.5
  const asyncShare = pick(random, [0.1, 0.5, 1])
  const transactions: PlannedTransaction[] = []
  let planned = 0
  for (let n = 0; planned < events; n++) {
    // A stream for each: whether one kind is on does not move the others.
    const own = randomStream(seed, `transaction ${n}`)
    const count = own() < 0.5 ? 1 : intBetween(own, 2, 6)
    const atMs = bursts
      ? (Math.floor(own() * 4) / 4) * plan.wholeMs + own() * 300
      : own() * plan.wholeMs
    const rolledBack = own() < 0.2
    const long = own() < 0.1
    const shortMs = own() < 0.5 ? 0 : between(own, 0, 30)
    const longMs = between(own, 100, 6_000)
    const async = own() < asyncShare
    const heldMs = own() < 0.3 ? between(own, 1, 300) : 0
    transactions.push({
      atMs,
      events: Array.from({ length: count }, (_, m) => eventOf(own, `e${n}.${m}`, plan, keys)),
      fate: rolledBack && plan.kinds.has('rollback') ? 'rollback' : 'commit',
      async: async && plan.kinds.has('async_commit'),
      openMs: long && plan.kinds.has('long_transaction') ? longMs : shortMs,
      heldMs: plan.kinds.has('held_visibility') ? heldMs : 0,
    })
    planned += count
  }
  return transactions.sort((a, b) => a.atMs - b.atMs)
}

function eventOf(
  random: Random,
  eventId: string,
  { kinds, topics }: WritingPlan,
  keys: readonly string[],
): PlannedEvent {
  const topic = pick(random, topics)
  const key = random() < 0.1 ? null : pick(random, keys)
  const [invalid, poison, permanent, delayed, expires] = [0.02, 0.06, 0.3, 0.1, 0.1].map(
    share => random() < share,
  )
  const refusals = random() < 0.3 ? Number.POSITIVE_INFINITY : intBetween(random, 1, 3)
  const delayMs = between(random, 10, 4_000)
  const expiresInMs = between(random, 0, 5_000)
  return {
    eventId,
    topic: invalid && kinds.has('invalid_topic') ? '__internal' : topic,
    key,
    refusals: poison && kinds.has('poison') ? (permanent ? Number.POSITIVE_INFINITY : refusals) : 0,
    permanent: permanent === true,
    delayMs: delayed && kinds.has('delay') ? delayMs : 0,
    expiresInMs: expires && kinds.has('expiry') ? expiresInMs : Number.POSITIVE_INFINITY,
  }
}
