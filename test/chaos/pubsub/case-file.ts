import { FAULTS_OF_BROKER } from './faults.ts'
import type { Asked, Ended, Held, PubsubHistory, ReplyRecord, RequestRecord } from './history.ts'

/** How long a fault has effects after its end: sessions run out, members join again. */
const SETTLE_MS = 15_000
/** How long one that was struck itself, or whose broker was, takes to read again. */
const RECOVERY_MS = 6_000
/** Until all others have their partitions again, after one has come or gone. */
const DEALT_MS = 5_000

/** A request, by what its requester wrote and what Kafka holds. */
export interface KnownRequest extends Asked {
  readonly ends: readonly Ended[]
  /** Null: the brokers never got it. */
  readonly record: RequestRecord | null
  readonly replies: readonly ReplyRecord[]
}

interface Span {
  readonly fromMs: number
  readonly toMs: number
}

interface FaultSpan extends Span {
  readonly fault: string
  readonly target: string
}

interface MoveSpan extends Span {
  readonly party: string
}

/** The history of a campaign, as its rules look at it. */
export class CaseFile {
  readonly history: PubsubHistory
  readonly timeoutMs: number
  readonly requests: readonly KnownRequest[]
  readonly #held: ReadonlyMap<string, readonly Held[]>
  readonly #faults: readonly FaultSpan[]
  /** In which a group deals its partitions anew. */
  readonly #moves: readonly MoveSpan[]

  constructor(history: PubsubHistory) {
    const [campaign] = history.all('campaign')
    if (!campaign) throw new Error('the history does not begin with a campaign')
    this.history = history
    this.timeoutMs = campaign.timeoutMs
    const records = new Map(history.all('request').map(record => [record.id, record]))
    const ends = grouped(history.all('ended'), ({ id }) => id)
    const replies = grouped(history.all('reply'), ({ correlationId }) => correlationId)
    this.requests = history.all('asked').map(asked => {
      const record = records.get(asked.id) ?? null
      const own = record === null ? [] : (replies.get(record.correlationId) ?? [])
      return { ...asked, record, ends: ends.get(asked.id) ?? [], replies: own }
    })
    this.#held = grouped(history.all('held'), ({ party }) => party)
    this.#faults = faultsOf(history)
    this.#moves = movesOf(history)
  }

  /**
   * Nothing was wrong anywhere in this time, nor shortly before, and nobody else came or went: that this party has
   * only just connected itself is no excuse.
   */
  isPeaceful(party: string, fromMs: number, toMs: number): boolean {
    const struck = this.#faults.some(span => overlaps(span, fromMs - SETTLE_MS, toMs))
    return (
      !struck &&
      !this.#moves.some(span => span.party !== party && overlaps(span, fromMs - DEALT_MS, toMs))
    )
  }

  /** This party itself, or the broker, was struck then, or had not recovered yet. */
  isStruck(party: string, fromMs: number, toMs: number): boolean {
    const ofBroker = new Set(FAULTS_OF_BROKER)
    return this.#faults.some(
      span =>
        overlaps(span, fromMs - RECOVERY_MS, toMs) &&
        (ofBroker.has(span.fault) || span.target === party || span.target === 'attempted'),
    )
  }

  /** `all`: it read that partition all this time; `none`: never in it. */
  holding(party: string, partition: number, fromMs: number, toMs: number): 'all' | 'some' | 'none' {
    const looks = this.#held.get(party) ?? []
    const before = looks.findLast(({ atMs }) => atMs <= fromMs)
    const within = looks.filter(({ atMs }) => fromMs < atMs && atMs <= toMs)
    const seen = [before?.partitions ?? [], ...within.map(({ partitions }) => partitions)]
    const times = seen.filter(partitions => partitions.includes(partition)).length
    return times === 0 ? 'none' : times === seen.length ? 'all' : 'some'
  }

  /** It stood still for some of this time. */
  wasFrozen(party: string, fromMs: number, toMs: number): boolean {
    return this.#faults.some(
      span =>
        span.fault === 'requester_frozen' && span.target === party && overlaps(span, fromMs, toMs),
    )
  }

  /** When its process ended; null: it was asked to leave, and did so. */
  diedAtMs(party: string): number | null {
    const exits = this.history.all('party_exited').filter(exit => exit.party === party)
    return exits.find(({ how }) => how !== 0)?.atMs ?? null
  }
}

function overlaps({ fromMs, toMs }: Span, beginMs: number, endMs: number): boolean {
  return fromMs <= endMs && toMs >= beginMs
}

function grouped<T>(items: Iterable<T>, nameOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const known = groups.get(nameOf(item))
    if (known) known.push(item)
    else groups.set(nameOf(item), [item])
  }
  return groups
}

function faultsOf(history: PubsubHistory): FaultSpan[] {
  const ends = new Map(history.all('fault_healed').map(({ id, atMs }) => [id, atMs]))
  return history.all('fault_started').map(({ id, fault, target, atMs: fromMs }) => {
    return { fault, target, fromMs, toMs: ends.get(id) ?? Number.POSITIVE_INFINITY }
  })
}

/** From a connect or a dispose to its end; one without an end goes on for ever. A process that ends is a move too. */
function movesOf(history: PubsubHistory): MoveSpan[] {
  const spanOf = (begin: 'connecting' | 'leaving', end: 'connected' | 'left') =>
    history.all(begin).map(({ party, atMs: fromMs }) => {
      const over = history.all(end).find(each => each.party === party && each.atMs >= fromMs)
      return { party, fromMs, toMs: over?.atMs ?? Number.POSITIVE_INFINITY }
    })
  const exits = history.all('party_exited').map(({ party, atMs }) => {
    return { party, fromMs: atMs, toMs: atMs }
  })
  return [...spanOf('connecting', 'connected'), ...spanOf('leaving', 'left'), ...exits]
}
