import type { OutboxEvent } from '../outbox/event.ts'

/**
 * Keys some of whose events have failed and may be tried again. Of such a key only the first failed event may be sent,
 * then the second, and so on: sent earlier, another one would overtake them. Events without a key are never held.
 */
export class HeldKeys {
  /** Event ids in the order in which they must be sent, by (topic, key). No list is empty. */
  readonly #waiting = new Map<string, string[]>()
  #size = 0

  /** Events that are waited for. */
  get size(): number {
    return this.#size
  }

  /** Whether the event may be sent now. If it was waited for, it is so no longer. */
  admit(event: OutboxEvent): boolean {
    const waiting = this.#waitingFor(event)
    if (!waiting) return true
    if (waiting[0] !== event.eventId) return false
    this.#remove(event, waiting, 0)
    return true
  }

  /** Waits for events that were admitted and have failed; they come before all others of their keys. */
  holdFirst(events: readonly OutboxEvent[]): void {
    for (const event of events.toReversed()) {
      if (event.key === null) continue
      const waiting = this.#waitingFor(event) ?? []
      this.#waiting.set(nameOf(event), [event.eventId, ...waiting])
      this.#size++
    }
  }

  /** Waits for an event that was not admitted, behind the others of its key. */
  holdLast(event: OutboxEvent): void {
    const waiting = this.#waitingFor(event)
    if (!waiting || waiting.includes(event.eventId)) return
    waiting.push(event.eventId)
    this.#size++
  }

  /** The event was admitted and will be asked for once more: nobody may come before it. */
  readmit(event: OutboxEvent): void {
    if (this.#waitingFor(event)) this.holdFirst([event])
  }

  /** Waits for the event no longer. */
  forget(event: OutboxEvent): void {
    const waiting = this.#waitingFor(event)
    const at = waiting?.indexOf(event.eventId) ?? -1
    if (waiting && at >= 0) this.#remove(event, waiting, at)
  }

  clear(): void {
    this.#waiting.clear()
    this.#size = 0
  }

  #waitingFor(event: OutboxEvent): string[] | undefined {
    return event.key === null ? undefined : this.#waiting.get(nameOf(event))
  }

  #remove(event: OutboxEvent, waiting: string[], at: number): void {
    waiting.splice(at, 1)
    this.#size--
    if (waiting.length === 0) this.#waiting.delete(nameOf(event))
  }
}

export function nameOf({ topic, key }: OutboxEvent): string {
  return JSON.stringify([topic, key])
}
