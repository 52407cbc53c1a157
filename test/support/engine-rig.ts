import type { BatchHandler, Handler, SubscribeOptions } from '../../src/consumer/bus.ts'
import type { ConsumerEvent } from '../../src/consumer/consumer-events.ts'
import { DeliveryEngine } from '../../src/consumer/delivery-engine.ts'
import type { EngineLimits } from '../../src/consumer/engine-limits.ts'
import type { DependencyGate, Holds } from '../../src/consumer/gates.ts'
import { BatchHandling, Handling } from '../../src/consumer/handling.ts'
import type { TopicPartition } from '../../src/consumer/record-source.ts'
import { settingsOf } from '../../src/consumer/subscription-options.ts'
import type { Log } from '../../src/telemetry/log.ts'
import { cleanup } from './cleanup.ts'
import { InMemoryDeliveryStore } from './in-memory-delivery-store.ts'
import { InMemorySource } from './in-memory-source.ts'
import type { Scope } from './parts.ts'

export const NO_LOG: Log = { debug() {}, info() {}, warn() {}, error() {} }

export const JSON_CODEC = {
  decode: (value: Buffer | null): unknown => (value === null ? null : JSON.parse(`${value}`)),
}

/** A gate that is opened and shut by hand. */
export class ManualGate implements DependencyGate {
  state: 'all' | 'one' | 'none' = 'all'
  /** What `failed` makes of it. */
  onFailure: 'all' | 'none' = 'none'
  readonly failures: string[] = []
  readonly asked = new Set<string>()
  readonly #listeners = new Set<() => void>()

  admits(names: readonly string[]): 'all' | 'one' | 'none' {
    for (const name of names) this.asked.add(name)
    return this.state
  }

  failed(name: string): void {
    if (name === 'refused') throw new Error('too many dependencies')
    this.failures.push(name)
    this.set(this.onFailure)
  }

  succeeded(): void {
    if (this.state === 'one') this.set('all')
  }

  set(state: 'all' | 'one' | 'none'): void {
    this.state = state
    for (const listener of this.#listeners) listener()
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

export class ManualHolds implements Holds {
  readonly #held = new Set<string>()
  readonly #listeners = new Set<() => void>()

  holds({ topic, partition }: TopicPartition): boolean {
    return this.#held.has(`${topic}/${partition}`)
  }

  set(partition: string, held: boolean): void {
    if (held) this.#held.add(partition)
    else this.#held.delete(partition)
    for (const listener of this.#listeners) listener()
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

export interface RigOptions {
  readonly handler?: Handler<unknown>
  readonly batch?: { readonly handler: BatchHandler<unknown>; readonly size: number }
  readonly subscribe?: Partial<SubscribeOptions>
  readonly limits?: Partial<EngineLimits>
  readonly call?: <T>(name: string, work: (signal: AbortSignal) => Promise<T>) => Promise<T>
}

/** An engine between a source and a store in memory. */
export class EngineRig {
  readonly source = new InMemorySource()
  readonly store = new InMemoryDeliveryStore()
  readonly gate = new ManualGate()
  readonly holds = new ManualHolds()
  readonly events: ConsumerEvent[] = []
  /** Ids of messages whose handler returned. */
  readonly handled: string[] = []
  readonly listenerErrors: unknown[] = []
  parked = 0
  readonly engine: DeliveryEngine

  constructor(t: Scope, { handler, batch, subscribe, limits, call }: RigOptions = {}) {
    const settings = settingsOf({
      group: 'billing',
      topics: ['orders'],
      codec: JSON_CODEC,
      ...subscribe,
    })
    const parts = { settings, log: NO_LOG, call: call ?? ((_, work) => work(NEVER)) } as const
    const recorded: Handler<unknown> = async (message, context) => {
      const outcome = await handler?.(message, context)
      this.handled.push(message.id)
      return outcome
    }
    this.engine = new DeliveryEngine({
      settings,
      source: this.source,
      store: this.store,
      handling: batch
        ? new BatchHandling(batch.handler, parts)
        : new Handling({ ...parts, handler: recorded }),
      ...(batch ? { batchSize: batch.size } : {}),
      gate: this.gate,
      holds: this.holds,
      emit: event => this.events.push(event),
      parked: () => this.parked++,
      listenerFailed: error => this.listenerErrors.push(error),
      limits: { commitEveryMs: 20, roomLookMs: 20, abandonMs: 200, ...limits },
    })
    cleanup(t, () => this.engine.close())
  }

  /** Starts and joins with one partition, `orders/0`. */
  static async joined(t: Scope, options: RigOptions = {}): Promise<EngineRig> {
    const rig = new EngineRig(t, options)
    await rig.source.start(rig.engine)
    await rig.source.join()
    return rig
  }

  /** The last commit of `orders/0`. */
  get committed(): string | undefined {
    return this.source.commits.at(-1)?.[0]
  }

  told<K extends ConsumerEvent['kind']>(kind: K): Extract<ConsumerEvent, { kind: K }>[] {
    return this.events.filter(
      (event): event is Extract<ConsumerEvent, { kind: K }> => event.kind === kind,
    )
  }
}

const NEVER = new AbortController().signal

/** A promise that is settled from outside. */
export class Latch {
  open: () => void = () => {}
  readonly opened = new Promise<void>(settle => {
    this.open = settle
  })
}
