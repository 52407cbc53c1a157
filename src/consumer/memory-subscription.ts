import { randomUUID } from 'node:crypto'
import { withDeadline } from '../internal/deadline.ts'
import type { HoldTarget, ReplayQuery, ReplayReport, Subscription } from './bus.ts'
import type { ConsumerListener } from './consumer-events.ts'
import type { Dependencies } from './dependencies.ts'
import { chainOf } from './key-order.ts'
import { dueAtMs, expired, type Item, type MemoryGroup } from './memory-group.ts'
import {
  type Handled,
  handleItem,
  handleTogether,
  type MemoryHandlingParts,
} from './memory-handling.ts'
import { recordsToReplay } from './memory-replay.ts'
import { MemoryTurns } from './memory-turns.ts'
import type { SourceRecord } from './message.ts'
import type { Reading } from './message-handling.ts'
import { parkingOf } from './parking.ts'
import type { SubscriptionSettings } from './subscription-settings.ts'

export interface MemorySubscriptionParts extends MemoryHandlingParts {
  readonly settings: SubscriptionSettings
  /** Messages in one transaction; 1 unless its handler takes many. */
  readonly batchSize: number
  readonly group: MemoryGroup
  readonly dependencies: Dependencies
  readonly emit: ConsumerListener
  readonly recordsOf: (topic: string) => readonly SourceRecord[]
  readonly publish: (topic: string, record: SourceRecord, reason: string) => void
  /** Something that others may wait for has changed. */
  readonly changed: () => void
  readonly ended: () => void
}

const STOP_TIMEOUT_MS = 10_000
/** How long a handler that has been given up may hold its transaction. */
const GIVE_UP_MS = 1_000

type NotDone = Extract<Handled, { kind: 'not_done' }>

interface Counts {
  readonly handled: number
  readonly duplicates: number
}

/** Handles what its group has taken over, in the order that its settings want. */
export class MemorySubscription implements Subscription {
  readonly group: string
  readonly completed: Promise<void>
  readonly #parts: MemorySubscriptionParts
  readonly #turns: MemoryTurns
  /** What has been found down and may not be among the needs. */
  readonly #missed = new Set<string>()
  readonly #atWork = new Set<Promise<void>>()
  readonly #leave = new AbortController()
  readonly #offChange: () => void
  #complete: () => void = () => {}
  #stopping: Promise<void> | null = null
  #stopped = false
  #soon = false

  constructor(parts: MemorySubscriptionParts) {
    this.#parts = parts
    this.group = parts.settings.group
    this.completed = new Promise(settle => {
      this.#complete = settle
    })
    this.#turns = new MemoryTurns({
      holds: item => parts.group.holds(item),
      expired,
      wake: () => this.#pump(),
    })
    this.#offChange = parts.dependencies.onChange(() => this.#pump())
  }

  get topics(): readonly string[] {
    return this.#parts.settings.topics
  }

  get state(): 'running' | 'paused' | 'stopped' {
    if (this.#stopped) return 'stopped'
    return this.#parts.group.heldWhole || this.#admits === 'none' ? 'paused' : 'running'
  }

  /** Nothing is in work, nor will be by itself. */
  get idle(): boolean {
    return this.#atWork.size === 0 && this.#turns.idle
  }

  /** What is left of an earlier subscription of the group, then what came since. */
  start(): void {
    const { group, settings } = this.#parts
    for (const item of group.open) {
      if (!this.topics.includes(item.record.topic)) continue
      item.reading = this.#parts.handling.read(item.record, item.messageId)
      item.chain = this.#chainOf(item.record)
      this.#turns.add(item)
    }
    for (const topic of this.topics) {
      const records = this.#parts.recordsOf(topic)
      const first = settings.from === 'earliest' ? 0 : records.length
      const position = group.positions.get(topic) ?? first
      group.positions.set(topic, position)
      for (const record of records.slice(position)) this.take(record)
    }
    this.#pumpSoon()
  }

  take(record: SourceRecord): void {
    const { group, settings } = this.#parts
    group.positions.set(record.topic, Number(record.offset) + 1)
    const reading = this.#parts.handling.read(record)
    const { messageId } = reading.delivery
    if (settings.dedup === 'inbox') {
      if (group.inbox.has(messageId)) {
        this.#delivered({ record }, { handled: 0, duplicates: 1 })
        return
      }
      group.inbox.add(messageId)
    }
    this.#add(record, messageId, reading)
  }

  async pause(target: HoldTarget, { until }: { reason: string; until?: Date }): Promise<void> {
    this.#parts.group.hold(target, until)
    if (until !== undefined) this.#turns.wakeHeldAt(until)
  }

  async resume(target: HoldTarget): Promise<void> {
    this.#parts.group.resume(target)
    this.#turns.wakeHeld()
  }

  async replay(query: ReplayQuery): Promise<ReplayReport> {
    const matched = recordsToReplay(query, this.#parts.recordsOf(query.topic))
    if (query.dryRun) return { matched: matched.length, enqueued: 0 }
    for (const record of matched) {
      const messageId = randomUUID()
      this.#parts.group.inbox.add(messageId)
      this.#add(record, messageId, this.#parts.handling.read(record, messageId))
    }
    return { matched: matched.length, enqueued: matched.length }
  }

  stop({ timeoutMs = STOP_TIMEOUT_MS }: { timeoutMs?: number } = {}): Promise<void> {
    this.#stopping ??= this.#stop(timeoutMs)
    return this.#stopping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #stop(timeoutMs: number): Promise<void> {
    this.#stopped = true
    this.#offChange()
    const finished = Promise.all(this.#atWork)
    const late = () => new Error('late')
    await withDeadline(finished, timeoutMs, late).catch(() => this.#leave.abort(late()))
    await withDeadline(finished, GIVE_UP_MS, late).catch(() => {})
    this.#turns.stop()
    const { emit, ended, settings } = this.#parts
    const partitions = this.topics.map(topic => ({ topic, partition: 0 }))
    const drained = this.#atWork.size === 0
    emit({ kind: 'revoked', group: this.group, why: 'stop', partitions, drained })
    try {
      await settings.listener.revoked?.(partitions, 'stop')
    } finally {
      ended()
      this.#complete()
    }
  }

  #add(record: SourceRecord, messageId: string, reading: Reading): void {
    const item: Item = {
      ...{ record, messageId, reading, chain: this.#chainOf(record) },
      ...{ attempts: 0, dueAtMs: null, held: false },
    }
    if (reading.kind === 'message' && reading.delayUntil) {
      item.dueAtMs = reading.delayUntil.getTime()
    }
    this.#parts.group.open.add(item)
    this.#turns.add(item)
    this.#pumpSoon()
  }

  #chainOf(record: SourceRecord): string | null {
    const chain = chainOf(record, this.#parts.settings.order)
    return chain === null ? null : `${record.topic}\0${chain}`
  }

  get #admits(): 'all' | 'one' | 'none' {
    return this.#parts.dependencies.admits([...this.#parts.settings.needs, ...this.#missed])
  }

  /** Not at once: neither who subscribes nor who publishes waits for handlers. */
  #pumpSoon(): void {
    if (this.#soon) return
    this.#soon = true
    setImmediate(() => {
      this.#soon = false
      this.#pump()
    })
  }

  #pump(): void {
    const { batchSize, settings } = this.#parts
    const concurrency = batchSize > 1 ? 1 : settings.concurrency
    while (!this.#stopped && this.#atWork.size < concurrency && this.#turns.ready > 0) {
      const admits = this.#admits
      if (admits === 'none' || (admits === 'one' && this.#atWork.size > 0)) break
      const items = this.#turns.next(admits === 'one' ? 1 : batchSize)
      if (items.length === 0) break
      const work: Promise<void> = this.#work(items).finally(() => {
        this.#atWork.delete(work)
        this.#pump()
      })
      this.#atWork.add(work)
    }
    this.#parts.changed()
  }

  async #work(items: readonly Item[]): Promise<void> {
    const { signal } = this.#leave
    if (items.length > 1 && (await handleTogether(items, this.#parts, signal))) {
      this.#done(items)
      return
    }
    for (const item of items) {
      // What became of one may forbid the next.
      if (items.length > 1 && this.#admits === 'none') {
        this.#turns.putBack(item)
        continue
      }
      const handled = await handleItem(item, this.#parts, signal)
      if (handled.kind === 'done') this.#done([item])
      else if (handled.kind === 'ignored') this.#finish(item)
      else if (handled.kind === 'not_done') this.#notDone(item, handled)
    }
  }

  #done(items: readonly Item[]): void {
    for (const item of items) this.#finish(item)
    this.#parts.dependencies.succeeded([...this.#parts.settings.needs, ...this.#missed])
    if (this.#admits === 'all') this.#missed.clear()
    this.#delivered(items[0] as Item, { handled: items.length, duplicates: 0 })
  }

  #notDone(item: Item, { outcome, error, attempt: attempts }: NotDone): void {
    const { messageId, record } = item
    const { topic, partition, offset } = record
    const place = { group: this.group, topic, partition, offset, messageId }
    this.#parts.emit({ kind: 'not_done', ...place, outcome, attempt: attempts, error })
    if (outcome.kind === 'down') {
      this.#turns.putBack(item)
      this.#missed.add(outcome.dependency)
      this.#parts.dependencies.failed(outcome.dependency, outcome.reason)
      return
    }
    const parking = parkingOf(outcome, attempts, this.#parts.settings)
    item.attempts = attempts
    if (parking.kind === 'dead') {
      const { reason, deadLetterTopic } = parking
      this.#parts.group.deadLetters.push({ messageId, record, reason, attempts })
      this.#parts.emit({ kind: 'dead', ...place, reason, attempts })
      if (deadLetterTopic !== null) this.#parts.publish(deadLetterTopic, record, reason)
      this.#finish(item)
    } else if (parking.kind === 'drop') {
      this.#finish(item)
    } else {
      item.held = parking.kind === 'hold'
      if ('due' in parking) item.dueAtMs = dueAtMs(parking.due)
      this.#turns.putBack(item)
    }
  }

  #finish(item: Item): void {
    this.#parts.group.open.delete(item)
    this.#turns.finish(item)
  }

  #delivered({ record: { topic } }: Pick<Item, 'record'>, counts: Counts): void {
    const facts = { group: this.group, topic, behind: 0, durationMs: 0 }
    this.#parts.emit({ kind: 'delivered', ...facts, ...counts })
  }
}
