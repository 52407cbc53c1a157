import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import type { Bus, Context, DomainEvent, SubscribeOptions } from '../../src/consumer/bus.ts'
import { jsonCodec } from '../../src/consumer/codecs.ts'
import type { Message } from '../../src/consumer/message.ts'
import type { Outcome } from '../../src/consumer/outcome.ts'
import type { Tx } from '../../src/consumer/tx.ts'
import { cleanup } from '../support/cleanup.ts'
import { until } from '../support/until.ts'

/** A bus, and what its tests need beside it. */
export interface BusUnderTest {
  /** Closed by the suite. */
  readonly bus: Bus
  /** An own transaction of the application's, in which the bus can publish. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>
  /** A new, empty topic. */
  createTopic(): Promise<string>
  /** Writes a record as some other producer. */
  send(record: RawRecord): Promise<void>
  /** Of a group, in the order in which they died. */
  deadLetters(group: string): Promise<readonly { messageId: string; attempts: number }[]>
}

export interface RawRecord {
  readonly topic: string
  readonly key: string | null
  readonly value: string | null
  readonly headers: Readonly<Record<string, string>>
}

export interface Counted {
  readonly n: number
}

/** Of an order, counted from 1. */
export class OrderChanged implements DomainEvent {
  readonly topic: string
  readonly key: string | null
  readonly n: number

  constructor(topic: string, key: string | null, n: number) {
    this.topic = topic
    this.key = key
    this.n = n
  }

  messageKey(): string | null {
    return this.key
  }

  messageData(): Counted {
    return { n: this.n }
  }

  topicName(): string {
    return this.topic
  }
}

// biome-ignore lint/suspicious/noConfusingVoidType: as a handler's
type Answer = Outcome | void
type Answering = (message: Message<Counted>, context: Context) => Promise<Answer> | Answer

export interface Rig extends BusUnderTest {
  readonly topic: string
  readonly group: string
  /** Each as `key:n`, for each call of the handler, in their order. */
  readonly handled: string[]
  /** Subscribes with what is given and a handler that notes the call before it answers. */
  subscribe(
    answer?: Answering,
    options?: Partial<SubscribeOptions<Counted>>,
  ): ReturnType<Bus['subscribe']>
  /** Publishes `key:n` each, by one transaction. */
  publish(...events: readonly string[]): Promise<void>
  /** Waits until the handler has been called for exactly these, in this order. */
  handles(...events: readonly string[]): Promise<void>
  becomes(what: string, predicate: () => boolean | Promise<boolean>): Promise<void>
}

/** What a bus with brokers behind it may take. */
const DEADLINE_MS = 30_000
const NEVER_CALLED: Answering = () => {}

export async function openRig(t: TestContext, under: BusUnderTest): Promise<Rig> {
  cleanup(t, () => under.bus.close())
  const topic = await under.createTopic()
  const group = `group-${randomUUID()}`
  const handled: string[] = []
  const becomes: Rig['becomes'] = (what, predicate) =>
    until(predicate, { deadlineMs: DEADLINE_MS, what })
  return {
    ...under,
    topic,
    group,
    handled,
    // A plain array, whatever a database's client gives.
    deadLetters: async of => [...(await under.deadLetters(of))],
    becomes,
    subscribe: (answer = NEVER_CALLED, options = {}) =>
      under.bus.subscribe(optionsOf(group, topic, options), async (message, context) => {
        handled.push(named(message))
        return answer(message, context)
      }),
    publish: events(under, topic),
    handles: async (...expected) => {
      const has = () => handled.length >= expected.length
      await becomes(`${expected} is handled`, has).catch(error => {
        throw new Error(`handled so far: ${handled}`, { cause: error })
      })
      if (String(handled) !== String(expected)) {
        throw new Error(`handled ${handled} instead of ${expected}`)
      }
    },
  }
}

export function optionsOf(
  group: string,
  topic: string,
  options: Partial<SubscribeOptions<Counted>> = {},
): SubscribeOptions<Counted> {
  return { group, topics: [topic], codec: jsonCodec<Counted>(), ...options }
}

export function named({ key, value }: Message<Counted>): string {
  return `${key ?? ''}:${value.n}`
}

export function eventOf(topic: string, text: string): OrderChanged {
  const [key = '', n] = text.split(':')
  return new OrderChanged(topic, key === '' ? null : key, Number(n))
}

function events({ bus, transaction }: BusUnderTest, topic: string): Rig['publish'] {
  return (...texts) =>
    transaction(async tx => {
      for (const text of texts) await bus.publish(eventOf(topic, text), tx)
    })
}

export function rawRecord(topic: string, text: string, headers: object = {}): RawRecord {
  const [key = '', n] = text.split(':')
  return {
    topic,
    key: key === '' ? null : key,
    value: `{"n":${n}}`,
    headers: { event_id: randomUUID(), event_type: 'OrderChanged', ...headers },
  }
}

/** Registers one test, under the name of what is tested. */
export type Obligation = (text: string, work: (rig: Rig) => Promise<void>) => unknown
