import { SluiceError } from '../errors.ts'
import { Condition } from '../internal/condition.ts'
import { type EventRecord, toRecord } from '../outbox/new-event.ts'
import { PARTITION_HEADER } from '../outbox/partition-header.ts'
import type { Log } from '../telemetry/log.ts'
import type {
  AggregateRoot,
  BatchHandler,
  BatchOptions,
  Bus,
  DomainEvent,
  Handler,
  SubscribeOptions,
  Subscription,
} from './bus.ts'
import type { ConsumerEvent, ConsumerListener } from './consumer-events.ts'
import { Dependencies, type DependencyOptions } from './dependencies.ts'
import { drainEvents, newEventOf, publishAggregate, publishEvent } from './domain-event.ts'
import { BatchHandling, Handling } from './handling.ts'
import { type MemoryDeadLetter, MemoryGroup } from './memory-group.ts'
import { MemorySubscription } from './memory-subscription.ts'
import { type Begin, MemoryTransactions } from './memory-transactions.ts'
import { HEADERS, placeOf, type SourceRecord } from './message.ts'
import { batchSizeOf, settingsOf } from './subscription-options.ts'
import type { Tx } from './tx.ts'

export interface MemoryBusOptions {
  /** Opens the handlers' transactions, on a database of the test's. Default: their `sql` refuses every statement. */
  readonly begin?: Begin
  readonly logger?: Log
  readonly listeners?: readonly ConsumerListener[]
  readonly dependencies?: Readonly<Record<string, DependencyOptions>>
}

/** A record as some other producer writes it. */
export interface MemoryRecord {
  readonly topic: string
  readonly key?: string | null
  readonly value: string | Uint8Array | null
  readonly headers?: Readonly<Record<string, string>>
}

/** A bus for tests and for work without Kafka. It keeps all that it is given until it is dropped. */
export interface MemoryBus extends Bus {
  /** A transaction whose events are delivered once it has been committed. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>
  /** Delivers what was published within transactions that the bus did not open: they are committed now. */
  flush(): void
  /** Puts a record into a topic, as some other producer. */
  send(record: MemoryRecord): void
  /**
   * Resolves once everything has been handled that will be by itself: retries and delays are waited for, also
   * dependencies that are down; what is paused or held is not.
   */
  idle(): Promise<void>
  /** In the order in which they died. */
  deadLetters(group: string): readonly MemoryDeadLetter[]
}

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} }
const LONG_MS = 2 ** 31 - 1

export function createMemoryBus(options: MemoryBusOptions = {}): MemoryBus {
  return new InMemoryBus(options)
}

class InMemoryBus implements MemoryBus {
  readonly #log: Log
  readonly #emit: ConsumerListener
  readonly #dependencies: Dependencies
  readonly #transactions: MemoryTransactions
  readonly #topics = new Map<string, SourceRecord[]>()
  readonly #groups = new Map<string, MemoryGroup>()
  readonly #subscriptions = new Set<MemorySubscription>()
  readonly #changed = new Condition()
  /** Published within transactions that are not the bus's. */
  readonly #collected: EventRecord[] = []
  readonly #delayed = new Set<NodeJS.Timeout>()
  #closed = false

  constructor({ begin, logger, listeners = [], dependencies = {} }: MemoryBusOptions) {
    this.#log = logger ?? SILENT
    this.#emit = event => {
      tellFailure(this.#log, event)
      for (const listener of listeners) this.#tell(listener, event)
    }
    this.#dependencies = new Dependencies({ emit: this.#emit, log: this.#log })
    for (const [name, each] of Object.entries(dependencies)) this.#dependencies.register(name, each)
    this.#transactions = new MemoryTransactions(begin, events => this.#publish(events))
  }

  async subscribe<T>(options: SubscribeOptions<T>, handler: Handler<T>): Promise<Subscription> {
    const handling = new Handling({ ...this.#handlingParts(options), handler })
    return this.#subscribe(options, handling, 1)
  }

  async subscribeBatch<T>(
    options: SubscribeOptions<T> & BatchOptions,
    handler: BatchHandler<T>,
  ): Promise<Subscription> {
    const handling = new BatchHandling(handler, this.#handlingParts(options))
    return this.#subscribe(options, handling, batchSizeOf(options))
  }

  async publish(event: DomainEvent, tx: Tx): Promise<void> {
    this.#refuseClosed()
    if (this.#transactions.knows(tx)) await publishEvent(tx, event)
    else this.#collect([event])
  }

  async publishForAggregate(aggregate: AggregateRoot, tx: Tx): Promise<number> {
    this.#refuseClosed()
    if (this.#transactions.knows(tx)) return publishAggregate(tx, aggregate)
    return drainEvents(aggregate, async events => this.#collect(events))
  }

  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#transactions.run(work)
  }

  flush(): void {
    this.#publish(this.#collected.splice(0))
  }

  send({ topic, key = null, value, headers = {} }: MemoryRecord): void {
    this.#refuseClosed()
    this.#append(topic, {
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      headers: headersOf(headers),
    })
  }

  async idle(): Promise<void> {
    // Breakers' timers alone do not keep a process alive.
    const awake = setTimeout(() => {}, LONG_MS)
    const idle = () => this.#delayed.size === 0 && [...this.#subscriptions].every(each => each.idle)
    try {
      await this.#changed.until(idle)
    } finally {
      clearTimeout(awake)
    }
  }

  deadLetters(group: string): readonly MemoryDeadLetter[] {
    return [...(this.#groups.get(group)?.deadLetters ?? [])]
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const timer of this.#delayed) clearTimeout(timer)
    this.#delayed.clear()
    await Promise.all([...this.#subscriptions].map(subscription => subscription.stop()))
    await this.#dependencies.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #tell(listener: ConsumerListener, event: ConsumerEvent): void {
    try {
      listener(event)
    } catch (err) {
      this.#log.error({ err, event: event.kind }, 'a listener failed')
    }
  }

  #handlingParts<T>(options: SubscribeOptions<T>) {
    const call: Dependencies['call'] = (name, work, signal) =>
      this.#dependencies.call(name, work, signal)
    return { settings: settingsOf(options), call, log: this.#log }
  }

  async #subscribe<T>(
    options: SubscribeOptions<T>,
    handling: Handling<T>,
    batchSize: number,
  ): Promise<Subscription> {
    this.#refuseClosed()
    const settings = settingsOf(options)
    const { group: name, topics, listener } = settings
    this.#refuseSecond(name, topics)
    const subscription: MemorySubscription = new MemorySubscription({
      ...{ settings, handling: handling as Handling<unknown>, batchSize },
      ...{ group: this.#groupOf(name), emit: this.#emit },
      ...{ transactions: this.#transactions, dependencies: this.#dependencies },
      recordsOf: topic => this.#topics.get(topic) ?? [],
      publish: (topic, record, reason) => this.#sendDead(topic, record, reason),
      changed: () => this.#changed.notify(),
      ended: () => this.#subscriptions.delete(subscription),
    })
    this.#subscriptions.add(subscription)
    const partitions = topics.map(topic => ({ topic, partition: 0 }))
    await listener.assigned?.(partitions, 1)
    this.#emit({ kind: 'joined', group: name, epoch: 1, partitions })
    subscription.start()
    return subscription
  }

  /** There is one partition of each topic, so a second member of the group would have nothing to do. */
  #refuseSecond(group: string, topics: readonly string[]): void {
    for (const other of this.#subscriptions) {
      const topic = topics.find(each => other.group === group && other.topics.includes(each))
      if (topic === undefined) continue
      const text = `group ${group} is subscribed to ${topic} already: stop that subscription first`
      throw new SluiceError('options', text)
    }
  }

  #groupOf(name: string): MemoryGroup {
    const group = this.#groups.get(name) ?? new MemoryGroup()
    this.#groups.set(name, group)
    return group
  }

  #collect(events: readonly DomainEvent[]): void {
    this.#collected.push(...events.map(event => toRecord(newEventOf(event), 'event')))
  }

  #publish(events: readonly EventRecord[]): void {
    for (const event of events) {
      const delayMs = event.not_before === null ? 0 : Date.parse(event.not_before) - Date.now()
      if (delayMs <= 0) this.#appendEvent(event)
      else if (!this.#closed) this.#appendLater(event, delayMs)
    }
  }

  #appendLater(event: EventRecord, delayMs: number): void {
    const timer = setTimeout(
      () => {
        this.#delayed.delete(timer)
        this.#publish([event])
        this.#changed.notify()
      },
      Math.min(delayMs, LONG_MS),
    )
    this.#delayed.add(timer)
  }

  #appendEvent(event: EventRecord): void {
    if (event.expires_at !== null && Date.parse(event.expires_at) <= Date.now()) return
    const { payload, payload_base64 } = event
    const bytes = payload_base64 === null ? null : Buffer.from(payload_base64, 'base64')
    const identity = { [HEADERS.eventId]: event.event_id, [HEADERS.eventType]: event.event_type }
    // There is but one partition.
    const { [PARTITION_HEADER]: _, ...headers } = event.headers
    this.#append(event.topic, {
      key: event.key === null ? null : Buffer.from(event.key),
      value: payload === null ? bytes : Buffer.from(payload),
      headers: headersOf({ ...headers, ...identity }),
    })
  }

  #sendDead(topic: string, record: SourceRecord, reason: string): void {
    const added = headersOf({ [HEADERS.origin]: placeOf(record), [HEADERS.error]: reason })
    this.#append(topic, { ...record, headers: [...record.headers, ...added] })
  }

  #append(topic: string, record: Pick<SourceRecord, 'key' | 'value' | 'headers'>): void {
    const records = this.#topics.get(topic) ?? []
    this.#topics.set(topic, records)
    const place = { topic, partition: 0, offset: BigInt(records.length) }
    const { key, value, headers } = record
    const appended = { ...place, key, value, headers, timestampMs: Date.now() }
    records.push(appended)
    for (const subscription of this.#subscriptions) {
      if (subscription.topics.includes(topic)) subscription.take(appended)
    }
  }

  #refuseClosed(): void {
    if (this.#closed) throw new SluiceError('lifecycle', 'the bus is closed')
  }
}

function headersOf(headers: Readonly<Record<string, string>>): SourceRecord['headers'] {
  return Object.entries(headers).map(([name, value]) => ({ name, value: Buffer.from(value) }))
}

/** There is nobody else to tell why a test's message was not handled. */
function tellFailure(log: Log, event: ConsumerEvent): void {
  if (event.kind !== 'not_done') return
  const { group, topic, partition, offset, messageId, outcome, attempt } = event
  const place = { group, topic, partition, offset: String(offset), messageId }
  log.warn({ ...place, ...outcome, attempt }, 'message not handled')
}
