import { createHash } from 'node:crypto'
import { seededRandom } from '../../../src/demo/random.ts'

/** What the handlers of the troubled group make of a message; the healthy group knows `poison` and `plain` alone. */
export type Act =
  | 'plain'
  /** Fails `amount` times. */
  | 'flaky'
  /** A TypeError, once. */
  | 'bug'
  /** Asks once to come again in `amount` ms. */
  | 'retry_at'
  /** Is held once, until somebody releases it. */
  | 'hold'
  /** Takes `amount` ms. */
  | 'slow'
  /** Fails until it is a dead letter. */
  | 'doomed'
  /** Can never be handled, says its handler. */
  | 'poison'
  /** Kills the process that handles it. */
  | 'killer'

/** The record's value. */
export interface Instruction {
  readonly n: number
  readonly act: Act
  readonly amount: number
}

export interface PlannedMessage {
  readonly topic: string
  readonly partition: number
  readonly key: string | null
  readonly value: Buffer
  readonly headers: Readonly<Record<string, string>>
}

/** How often, of a thousand messages. */
export interface Spice {
  readonly acts: Readonly<Partial<Record<Act, number>>>
  readonly unreadable: number
  readonly nameless: number
  readonly delayed: number
  readonly expired: number
  readonly expiring: number
  readonly unordered: number
  readonly twice: number
  readonly keyless: number
}

export const SPICE: Spice = {
  acts: { flaky: 30, bug: 10, retry_at: 20, hold: 5, slow: 40, doomed: 1, poison: 3 },
  unreadable: 4,
  nameless: 1,
  delayed: 20,
  expired: 5,
  expiring: 5,
  unordered: 30,
  twice: 20,
  keyless: 100,
}

export interface MessagePlanOptions {
  readonly seed: number
  /** Partitions of each topic. */
  readonly topics: Readonly<Record<string, number>>
  readonly keys: number
  readonly spice: Spice
}

/** Numbered messages of a few keys; the same keys in every topic. Follows from the seed, but for times. */
export class MessagePlan {
  readonly #options: MessagePlanOptions
  readonly #random: () => number
  readonly #topics: readonly string[]
  readonly #counts = new Map<string, number>()
  #ids = 0

  constructor(options: MessagePlanOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed)
    this.#topics = Object.keys(options.topics)
  }

  /** One message, or the same one twice. */
  next(): PlannedMessage[] {
    const message = this.#message()
    return this.#happens('twice') ? [message, message] : [message]
  }

  #message(): PlannedMessage {
    const { topics, keys } = this.#options
    const topic = this.#topics[Math.floor(this.#random() * this.#topics.length)] as string
    const key = this.#happens('keyless') ? null : `k${Math.floor(this.#random() * keys)}`
    const id = this.#id()
    const name = `${topic}/${key}`
    const n = this.#counts.get(name) ?? 0
    this.#counts.set(name, n + 1)
    const { act, amount } = this.#act()
    // One that is sent twice must come to the same partition, as it does by a producer's retry.
    const partition = hashOf(key ?? id) % (topics[topic] ?? 1)
    const headers = this.#headers(id, act)
    const text = JSON.stringify({ n, act, amount } satisfies Instruction)
    const value = Buffer.from(headers.unreadable ? text.slice(1) : text)
    return { topic, partition, key, value, headers }
  }

  #headers(id: string, act: Act): Record<string, string> {
    const unreadable = this.#happens('unreadable')
    const nameless = this.#happens('nameless')
    const soonMs = Date.now() + 300 + Math.floor(this.#random() * 2_500)
    const delayed = this.#happens('delayed')
    const expires = this.#happens('expired')
      ? Date.now() - 1_000
      : this.#happens('expiring')
        ? soonMs
        : null
    const unordered = this.#happens('unordered')
    return {
      ...(!nameless && { event_id: id }),
      event_type: 'Numbered',
      act,
      ...(unreadable && { unreadable: 'yes' }),
      ...(delayed && { 'twr-delay-until': new Date(soonMs).toISOString() }),
      ...(expires !== null && { 'twr-expires-at': new Date(expires).toISOString() }),
      ...(unordered && { 'twr-ordered': 'false' }),
    }
  }

  #act(): { act: Act; amount: number } {
    const draw = this.#random() * 1_000
    const amount = this.#random()
    let sum = 0
    for (const [act, share] of Object.entries(this.#options.spice.acts) as [Act, number][]) {
      sum += share
      if (draw >= sum) continue
      if (act === 'flaky') return { act, amount: 1 + Math.floor(amount * 2) }
      return { act, amount: act === 'slow' ? 50 + Math.floor(amount * 350) : 400 + amount * 1_500 }
    }
    return { act: 'plain', amount: 0 }
  }

  #happens(what: Exclude<keyof Spice, 'acts'>): boolean {
    return this.#random() * 1_000 < this.#options.spice[what]
  }

  /** A UUID, because dead letters keep ids of that form. */
  #id(): string {
    const seed = this.#options.seed.toString(16).padStart(8, '0').slice(-8)
    return `${seed}-0000-4000-8000-${(++this.#ids).toString(16).padStart(12, '0')}`
  }
}

function hashOf(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE(0)
}
