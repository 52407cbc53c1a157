import { randomUUID } from 'node:crypto'
import { fingerprintOf, sha256 } from '../../../src/demo/fingerprint.ts'
import type { Committed } from './history.ts'

/** The topics of one campaign. */
export interface Topics {
  readonly orders: string
  readonly audit: string
  /** Its limits are changed while it is written to. */
  readonly limited: string
  /** Deleted and created again; what was in it is excused. */
  readonly doomed: string
}

/** Above this many bytes a record does not fit while the limit of `limited` is lowered. */
export const LOWERED_LIMIT_BYTES = 8_192

/** Records of this size fit no topic. */
const TOO_LARGE_BYTES = 1_100_000
const BIG_BYTES = 20_000
const HOT_KEYS = 3
const KEYS = 240
const EXPIRED_MS = 1_000

export interface PlannedEvent {
  readonly eventId: string
  readonly topic: string
  readonly key: string | null
  readonly eventType: string
  readonly shape: Shape
  readonly headersJson: string
  /** From the insert on; null for none. */
  readonly notBeforeInMs: number | null
  readonly expiresInMs: number | null
  readonly fate: Committed['fate']
  readonly reason: string | null
}

type Shape = 'json' | 'bytes' | 'tombstone' | 'big' | 'too_large' | 'text'

export type End = 'commit' | 'rollback' | 'vanish'

export interface PlannedTransaction {
  readonly events: readonly PlannedEvent[]
  readonly end: End
  /** How long it stays open after its inserts. */
  readonly holdMs: number
  readonly synchronousCommit: boolean
}

/** What one writer does next; the sequence follows from the random numbers alone, but for the event ids. */
export class TransactionPlan {
  readonly #random: () => number
  readonly #topics: Topics
  readonly #writer: number
  #afterLate = false

  constructor(random: () => number, topics: Topics, writer: number) {
    this.#random = random
    this.#topics = topics
    this.#writer = writer
  }

  next(): PlannedTransaction {
    // The keys of a late transaction are written to again at once, with ids far above those that came late.
    const late = !this.#afterLate && this.#chance(0.02)
    const again = this.#afterLate
    this.#afterLate = late
    const count = 1 + this.#below(5)
    const events = Array.from({ length: count }, () => this.#event(late || again))
    const end = this.#chance(0.2) ? (this.#chance(0.1) ? 'vanish' : 'rollback') : 'commit'
    return {
      events,
      end,
      holdMs: late ? 800 + this.#below(3_000) : 0,
      synchronousCommit: !this.#chance(0.25),
    }
  }

  #event(ownKey: boolean): PlannedEvent {
    const topic = this.#topic()
    const key = ownKey ? this.#ownKey() : this.#key()
    const plain: PlannedEvent = {
      eventId: randomUUID(),
      topic,
      key,
      eventType: this.#chance(0.5) ? 'Placed' : 'Changed',
      shape: this.#shape(topic),
      headersJson: this.#headers(),
      notBeforeInMs: this.#chance(0.03) ? 300 + this.#below(3_000) : null,
      expiresInMs: this.#chance(0.03) ? 600_000 : null,
      fate: 'published',
      reason: null,
    }
    if (this.#chance(0.012)) return this.#poison(plain)
    if (plain.shape === 'big' && topic === this.#topics.limited) {
      return { ...plain, fate: 'either', reason: 'message_too_large' }
    }
    return plain
  }

  /** An event that can never be published. */
  #poison(event: PlannedEvent): PlannedEvent {
    const dead = { ...event, fate: 'dead' as const, notBeforeInMs: null, expiresInMs: null }
    switch (this.#below(7)) {
      case 0:
        return {
          ...dead,
          topic: this.#topics.orders,
          shape: 'too_large',
          reason: 'message_too_large',
        }
      case 1:
      case 2:
        return { ...dead, topic: 'no topic/of this name', reason: 'invalid_topic' }
      case 3:
      case 4:
        return { ...dead, headersJson: '{"number":1}', reason: 'invalid_headers' }
      default:
        return { ...dead, expiresInMs: -EXPIRED_MS, reason: 'expired' }
    }
  }

  #topic(): string {
    const at = this.#random()
    if (at < 0.6) return this.#topics.orders
    if (at < 0.8) return this.#topics.audit
    return at < 0.93 ? this.#topics.limited : this.#topics.doomed
  }

  #key(): string | null {
    const at = this.#random()
    if (at < 0.1) return null
    if (at < 0.13) return ''
    if (at < 0.3) return `hot-${this.#below(HOT_KEYS)}`
    return at < 0.4 ? `ключ ${this.#below(20)}` : `key-${this.#below(KEYS)}`
  }

  /** A key of this writer alone: a transaction that is held open must hold nobody else up. */
  #ownKey(): string | null {
    return this.#chance(0.2) ? null : `late-${this.#writer}-${this.#below(2)}`
  }

  #shape(topic: string): Shape {
    const at = this.#random()
    if (at < 0.1) return 'bytes'
    if (at < 0.14) return 'tombstone'
    if (at < 0.2) return 'text'
    return at < (topic === this.#topics.limited ? 0.35 : 0.22) ? 'big' : 'json'
  }

  #headers(): string {
    const at = this.#random()
    if (at < 0.6) return '{}'
    return at < 0.8
      ? '{"source":"chaos","empty":"","größe":"ž✓"}'
      : JSON.stringify({ trace: String(this.#below(1e9)), event_type: 'lied about' })
  }

  #chance(probability: number): boolean {
    return this.#random() < probability
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }
}

export interface Payload {
  /** JSON text that must reach Kafka as it stands. */
  readonly text: string | null
  readonly bytes: Buffer | null
}

/** The payload that carries this position in its key's order. */
export function payloadOf({ shape, eventId }: PlannedEvent, seq: number): Payload {
  const seed = Number.parseInt(eventId.slice(0, 8), 16)
  switch (shape) {
    case 'tombstone':
      return { text: null, bytes: null }
    case 'bytes':
      return {
        text: null,
        bytes: Buffer.from([0, 255, 254, 0x80, seed & 255, 10, seq & 255, 0xc3, 0x28]),
      }
    case 'big':
      return { text: `{"seq":${seq},"pad":"${'x'.repeat(BIG_BYTES)}"}`, bytes: null }
    case 'too_large':
      return { text: `{"seq":${seq},"pad":"${'y'.repeat(TOO_LARGE_BYTES)}"}`, bytes: null }
    case 'text':
      return { text: ` "seq ${seq} – ünï" `, bytes: null }
    default:
      // White space, a number beyond 2^53, a name given twice: whoever parses it changes it.
      return {
        text: `{ "seq":${seq}, "z":1.10, "a":90071992547409931234, "a":[ ],\n"e":"\\u00e9" }`,
        bytes: null,
      }
  }
}

/** Equal for what was written and for its record in Kafka. */
export function contentOf(event: PlannedEvent, { text, bytes }: Payload): string {
  const headers = JSON.parse(event.headersJson) as Record<string, string>
  // The relay's own names win over the row's.
  for (const name of ['event_id', 'event_type', 'sluice-id']) delete headers[name]
  const payloadSha256 = sha256(text ?? bytes)
  return fingerprintOf({ eventType: event.eventType, headers, payloadSha256 })
}
