import { KeyOrder } from './key-order.ts'
import type { Item } from './memory-group.ts'

const TIMER_MS_MAX = 2 ** 31 - 1

export interface MemoryTurnsParts {
  readonly holds: (item: Item) => boolean
  readonly expired: (item: Item) => boolean
  /** One may have its turn now that could not have it before. */
  readonly wake: () => void
}

/** Whose turn it is, and who waits although it is theirs: for a time, or to be resumed. */
export class MemoryTurns {
  readonly #parts: MemoryTurnsParts
  readonly #order = new KeyOrder<Item>()
  /** With the timer of those that wait for a time. */
  readonly #parked = new Map<Item, NodeJS.Timeout | null>()
  readonly #wakeUps = new Set<NodeJS.Timeout>()

  constructor(parts: MemoryTurnsParts) {
    this.#parts = parts
  }

  get ready(): number {
    return this.#order.ready
  }

  /** Nobody will have a turn by the mere passing of time. */
  get idle(): boolean {
    return this.#order.ready === 0 && [...this.#parked.values()].every(timer => timer === null)
  }

  add(item: Item): void {
    this.#order.add(item)
  }

  /** Gives out at most `max` of one topic, in offset order. Each comes back by `putBack` or `finish`. */
  next(max: number): Item[] {
    const items: Item[] = []
    const others: Item[] = []
    while (items.length < max) {
      const item = this.#order.next()
      if (item === undefined) break
      const waitMs = (item.dueAtMs ?? 0) - Date.now()
      if (this.#parts.holds(item)) this.#parked.set(item, null)
      else if (waitMs > 0 && !this.#parts.expired(item)) this.#park(item, waitMs)
      else if (items[0] && items[0].record.topic !== item.record.topic) others.push(item)
      else items.push(item)
    }
    for (const item of others.reverse()) this.#order.putBack(item)
    return items.sort((a, b) => Number(a.record.offset - b.record.offset))
  }

  /** It is its turn again, when its time has come. */
  putBack(item: Item): void {
    this.#order.putBack(item)
  }

  finish(item: Item): void {
    this.#order.finish(item)
  }

  /** Those that were held have their turn again, unless they still are. */
  wakeHeld(): void {
    const held = [...this.#parked].filter(([, timer]) => timer === null).map(([item]) => item)
    for (const item of held.reverse()) {
      this.#parked.delete(item)
      this.#order.putBack(item)
    }
    this.#parts.wake()
  }

  wakeHeldAt(at: Date): void {
    const timer = setTimeout(
      () => {
        this.#wakeUps.delete(timer)
        this.wakeHeld()
      },
      Math.min(Math.max(0, at.getTime() - Date.now()), TIMER_MS_MAX),
    )
    this.#wakeUps.add(timer)
  }

  stop(): void {
    for (const timer of [...this.#parked.values(), ...this.#wakeUps]) {
      if (timer !== null) clearTimeout(timer)
    }
    this.#parked.clear()
    this.#wakeUps.clear()
    this.#order.clear()
  }

  #park(item: Item, waitMs: number): void {
    const timer = setTimeout(
      () => {
        this.#parked.delete(item)
        this.#order.putBack(item)
        this.#parts.wake()
      },
      Math.min(waitMs, TIMER_MS_MAX),
    )
    this.#parked.set(item, timer)
  }
}
