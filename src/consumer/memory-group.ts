import type { HoldTarget } from './bus.ts'
import type { Due } from './delivery-store.ts'
import type { SourceRecord } from './message.ts'
import type { Reading } from './message-handling.ts'

/** A record that a group has taken over and not finished. */
export interface Item {
  readonly record: SourceRecord
  readonly messageId: string
  reading: Reading
  /** Items of the same chain are handled one after the other. */
  chain: string | null
  attempts: number
  /** Not handled before. Milliseconds since 1970. */
  dueAtMs: number | null
  /** Put aside by its handler, until it is resumed. */
  held: boolean
}

export interface MemoryDeadLetter {
  readonly messageId: string
  readonly record: SourceRecord
  readonly reason: string
  readonly attempts: number
}

interface Hold {
  readonly target: HoldTarget
  readonly untilMs: number | null
}

/** What is remembered of a group beyond its subscriptions. */
export class MemoryGroup {
  readonly inbox = new Set<string>()
  readonly deadLetters: MemoryDeadLetter[] = []
  /** Of each topic, the offset of the next record to be taken over. */
  readonly positions = new Map<string, number>()
  /** In the order in which they were taken over. */
  readonly open = new Set<Item>()
  #holds: readonly Hold[] = []

  hold(target: HoldTarget, until: Date | undefined): void {
    const others = this.#holds.filter(hold => !same(hold.target, target))
    this.#holds = [...others, { target, untilMs: until?.getTime() ?? null }]
  }

  /** Takes the hold of that target off, and lets what handlers have put aside there run again. */
  resume(target: HoldTarget): void {
    this.#holds = this.#holds.filter(hold => !same(hold.target, target))
    for (const item of this.open) if (covers(target, item.record)) item.held = false
  }

  holds(item: Item): boolean {
    return item.held || this.#inForce().some(({ target }) => covers(target, item.record))
  }

  get heldWhole(): boolean {
    return this.#inForce().some(({ target }) => target.topic === undefined)
  }

  #inForce(): readonly Hold[] {
    const nowMs = Date.now()
    return this.#holds.filter(({ untilMs }) => untilMs === null || untilMs > nowMs)
  }
}

function covers({ topic, partition, key }: HoldTarget, record: SourceRecord): boolean {
  if (topic !== undefined && topic !== record.topic) return false
  if (partition !== undefined && partition !== record.partition) return false
  return key === undefined || key === (record.key?.toString('utf8') ?? null)
}

function same(one: HoldTarget, other: HoldTarget): boolean {
  return one.topic === other.topic && one.partition === other.partition && one.key === other.key
}

export function dueAtMs(due: Due): number {
  return 'at' in due ? due.at.getTime() : Date.now() + due.inMs
}

export function expired({ reading }: Item): boolean {
  const expiresAt = reading.kind === 'message' ? reading.expiresAt : null
  return expiresAt !== null && expiresAt.getTime() <= Date.now()
}
