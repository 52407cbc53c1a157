import type { PlannedEvent } from './plan.ts'

/** One event as the writers, the tables and the broker know it. */
export interface EventRecord {
  readonly plan: PlannedEvent
  /** lost: its commit was shown, but a crash of the database took it away. */
  status: 'unwritten' | 'open' | 'committed' | 'aborted' | 'lost'
  id: number
  /** Its place among the events of its topic and key. */
  place: number
  visibleAtMs: number
  /** Sends whose bytes the broker has stored, in the order in which it stored them. */
  readonly appends: Append[]
  /** Refusals that the broker has answered. */
  refusedByBroker: number
  /** Refusals that were recorded in the database. */
  refusalsRecorded: number
  /** An operator has seen to it that it is accepted from now on. */
  cured: boolean
  requeued: boolean
  /** Died once without holding its key. */
  diedUnheld: boolean
  end: 'confirmed' | 'dead' | 'discarded' | null
}

export interface Append {
  readonly send: Send
  /** Of the event's lane, when it was sent. */
  readonly epoch: number
  readonly atMs: number
  /** Counts the broker's appends. */
  readonly turn: number
}

/** One request to the broker. */
export interface Send {
  readonly replica: string
  readonly begunMs: number
  /** The epochs of its events' lanes, in the events' order. */
  readonly epochs: readonly number[]
  /** Why the relay may not know that it was stored, if there is a reason. */
  cause: string | null
  /** When its replica learnt that it was stored. */
  ackedMs: number | null
}

/** Something that happened to a replica, or to all, and may have made it send again. */
export interface Trouble {
  readonly kind: string
  /** null: all of them. */
  readonly replica: string | null
  readonly fromMs: number
  untilMs: number
}

/** What the checker goes by. Nothing in it comes from the relay's own counters. */
export class Ledger {
  readonly events = new Map<string, EventRecord>()
  readonly troubles: Trouble[] = []
  readonly violations: string[] = []
  readonly faults = new Map<string, number>()
  readonly #onViolation: (text: string) => void
  appends = 0

  constructor(onViolation: (text: string) => void) {
    this.#onViolation = onViolation
  }

  plan(plan: PlannedEvent): EventRecord {
    const record: EventRecord = {
      plan,
      status: 'unwritten',
      id: 0,
      place: 0,
      visibleAtMs: 0,
      appends: [],
      refusedByBroker: 0,
      refusalsRecorded: 0,
      cured: false,
      requeued: false,
      diedUnheld: false,
      end: null,
    }
    this.events.set(plan.eventId, record)
    return record
  }

  of(eventId: string): EventRecord {
    const record = this.events.get(eventId)
    if (record === undefined) throw new Error(`nobody has written ${eventId}`)
    return record
  }

  /** @param text begins with the name of what is violated and a colon */
  violation(text: string): void {
    this.violations.push(text)
    this.#onViolation(text)
  }

  trouble(kind: string, replica: string | null, fromMs: number, untilMs = fromMs): Trouble {
    const trouble = { kind, replica, fromMs, untilMs }
    this.troubles.push(trouble)
    this.count(kind)
    return trouble
  }

  count(kind: string): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1)
  }
}
