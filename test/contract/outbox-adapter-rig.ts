import assert from 'node:assert/strict'
import type {
  FailedEvent,
  OutboxAdapter,
  PublishedEvent,
  Reservation,
  ReserveOptions,
} from '../../src/outbox/adapter.ts'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import type { NewRow } from '../support/in-memory-outbox.ts'
import { until } from '../support/until.ts'

/** An outbox, and what its tests need to do beside its adapters. */
export interface OutboxUnderTest {
  /** A replica's adapter; stopped after the test. */
  openReplica(): OutboxAdapter
  /** Writes rows as an application does, in this order. What is not given: topic `t`, key `k`, no payload. */
  write(rows: readonly NewRow[]): Promise<void>
  /** What still waits, in the order of ids. */
  waiting(): Promise<readonly { readonly key: string | null; readonly attempts: number }[]>
  deadLetters(): Promise<readonly DeadLetter[]>
  /** Whatever waits for its time, for a retry or for its delivery, is due from now on. */
  makeDue(): Promise<void>
  /** Another replica owns all lanes from now on, as after a pause beyond the leases. */
  takeOver(): Promise<void>
}

interface DeadLetter {
  readonly eventId: string
  readonly reason: string
  readonly error: string
}

/** So long that no lease ends during a test. */
export const RESERVE_MS = 60_000
const DEADLINE_MS = 10_000
export const ALL: ReserveOptions = { exceptTopics: [], bytesMax: 8_000_000 }

export interface Rig extends OutboxUnderTest {
  readonly adapter: OutboxAdapter
  /** The next reservation, within ten seconds. */
  reserve(limit?: number, options?: ReserveOptions, adapter?: OutboxAdapter): Promise<Reservation>
}

export function rigOf(under: OutboxUnderTest): Rig {
  const first = under.openReplica()
  const reserve = async (limit = 1_000, options = ALL, adapter = first) => {
    let found: Reservation | null = null
    const ask = async () => {
      found = await adapter.reserveNewEvents(limit, RESERVE_MS, options)
      return found !== null
    }
    await until(ask, { deadlineMs: DEADLINE_MS, what: 'something is reserved' })
    return found as unknown as Reservation
  }
  return { ...under, adapter: first, reserve }
}

/** Registers one test, under the name of what is tested. */
export type Obligation = (text: string, work: (rig: Rig) => Promise<void>) => unknown

export function published(events: readonly OutboxEvent[]): PublishedEvent[] {
  return events.map((event, n) => ({ event, partition: 0, offset: String(n) }))
}

export function failed(
  event: OutboxEvent,
  kind: FailedEvent['kind'],
  retryDelayMs = 0,
): FailedEvent {
  return { event, kind, reason: 'refused', error: 'not this way', retryDelayMs }
}

/** Payloads are ascending numbers, in each key. */
export function assertInOrder(events: readonly OutboxEvent[]): void {
  const last = new Map<string | null, number>()
  for (const { key, payload } of events) {
    const n = Number(payload)
    assert.ok(n > (last.get(key) ?? -1), `${key}: ${n} stands behind ${last.get(key)}`)
    last.set(key, n)
  }
}

export function keysOf({ events }: Reservation): (string | null)[] {
  return [...new Set(events.map(({ key }) => key))]
}

export function idsOf({ events }: Reservation): string[] {
  return events.map(({ id }) => id)
}

export function topicsOf({ events }: Reservation): string[] {
  return events.map(({ topic }) => topic).sort()
}

export function payloadsOf({ events }: Reservation): (string | null)[] {
  return events.map(({ payload }) => payload && String(payload)).sort()
}
