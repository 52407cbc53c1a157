import assert from 'node:assert/strict'
import { withDeadline } from '../../src/internal/deadline.ts'
import type {
  FailedEvent,
  OutboxAdapter,
  PublishedEvent,
  Reservation,
  ReserveOptions,
  Settled,
} from '../../src/outbox/adapter.ts'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import { until } from '../support/until.ts'

/** An outbox that is empty, and what its tests need to do beside its adapters. */
export interface OutboxUnderTest {
  /** A replica's adapter on this outbox. The suite stops it, once or twice, before the test ends. */
  openReplica(): OutboxAdapter
  /** Writes rows as an application does, in this order. What is not given: topic `t`, key `k`, no payload. */
  write(rows: readonly NewRow[]): Promise<void>
  /** What still waits, in the order in which it was written. */
  waiting(): Promise<readonly { readonly key: string | null; readonly attempts: number }[]>
  deadLetters(): Promise<readonly DeadLetter[]>
  /** Whatever waits for its time, for a retry or for its delivery, is due from now on. */
  makeDue(): Promise<void>
  /** Another replica owns all lanes from now on, as after a pause beyond the leases. */
  takeOver(): Promise<void>
  /**
   * Set by adapters that hand out one reservation at a time, over all replicas: it is then an obligation that there is
   * no second one before the first has been released. Left out: there are several lanes, for several reservations.
   */
  readonly oneAtATime?: true
}

/** A row as an application writes it. Times are milliseconds from now; negative ones lie in the past. */
export interface NewRow
  extends Partial<Pick<OutboxEvent, 'topic' | 'key' | 'eventType' | 'payload' | 'headersJson'>> {
  readonly notBeforeInMs?: number
  readonly expiresInMs?: number
}

/** What is kept of an event that was refused for good. */
export interface DeadLetter {
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
  /** The next reservation; rejects when none comes within ten seconds. */
  reserve(limit?: number, options?: ReserveOptions, adapter?: OutboxAdapter): Promise<Reservation>
  /** The next reservation beside a live one; null only of an outbox that hands out one at a time. */
  reserveBeside(
    limit?: number,
    options?: ReserveOptions,
    adapter?: OutboxAdapter,
  ): Promise<Reservation | null>
}

/**
 * Opens the first replica, and stops it and all others when `work` has ended.
 * @param deadlineMs of each reservation
 */
export async function withRig(
  under: OutboxUnderTest,
  work: (rig: Rig) => Promise<void>,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const opened: OutboxAdapter[] = []
  const openReplica = () => {
    const adapter = under.openReplica()
    opened.push(adapter)
    return adapter
  }
  try {
    await work(rigOf({ ...under, openReplica }, deadlineMs))
  } finally {
    const stopping = Promise.allSettled(opened.map(adapter => adapter.stop()))
    const late = () => new Error(`stop() did not end within ${DEADLINE_MS} ms`)
    await withDeadline(stopping, DEADLINE_MS, late)
  }
}

function rigOf(under: OutboxUnderTest, deadlineMs: number): Rig {
  const first = under.openReplica()
  const reserve: Rig['reserve'] = async (limit = 1_000, options = ALL, adapter = first) => {
    let found: Reservation | null = null
    const ask = async () => {
      found = await adapter.reserveNewEvents(limit, RESERVE_MS, options)
      return found !== null
    }
    await until(ask, { deadlineMs, what: 'something is reserved' })
    return found as unknown as Reservation
  }
  const reserveBeside: Rig['reserveBeside'] = async (
    limit = 1_000,
    options = ALL,
    adapter = first,
  ) =>
    under.oneAtATime
      ? adapter.reserveNewEvents(limit, RESERVE_MS, options)
      : reserve(limit, options, adapter)
  return { ...under, adapter: first, reserve, reserveBeside }
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

/** Without what an adapter may tell beyond the counts. */
export function counts({ settled, fenced }: Settled): Settled {
  return { settled, fenced }
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

/** The keys that two reservations share. */
export function sharedKeys(one: Reservation, two: Reservation | null): (string | null)[] {
  const others = two ? keysOf(two) : []
  return keysOf(one).filter(key => others.includes(key))
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
