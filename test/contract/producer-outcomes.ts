import assert from 'node:assert/strict'
import { monotonicMs } from '../../src/internal/monotonic.ts'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import type { Acked, Outcome, Producer } from '../../src/relay/producer.ts'
import type { TopicRecord } from '../support/kafka.ts'

/** Long enough for a thread to load its code on a busy machine. */
const PUBLISH_MS = 15_000

export const soon = () => monotonicMs() + PUBLISH_MS

export function acked(outcome: Outcome | undefined): Acked {
  assert.ok(outcome?.kind === 'acked', `the outcome is ${JSON.stringify(outcome)}`)
  return outcome
}

export function kindsOf(outcomes: readonly Outcome[]): string[] {
  return outcomes.map(({ kind }) => kind)
}

/** Of unknown outcomes; events that are held behind another one are left out. */
export function faultsOf(
  outcomes: readonly Outcome[],
): [code: string, fault: string, scope: string][] {
  return outcomes.flatMap(outcome => {
    assert.ok(outcome.kind === 'unknown', `the outcome is ${JSON.stringify(outcome)}`)
    const { code, fault, scope } = outcome
    return fault === 'held' ? [] : [[code, fault, scope] as [string, string, string]]
  })
}

export function placeOf(topic: string, at: { partition: number; offset: bigint | string }): string {
  return `${topic} ${at.partition} ${at.offset}`
}

export function textOf({ value }: TopicRecord): string {
  return String(value)
}

/** The events’ ids, in the order in which they lie. */
export function idsOf(records: readonly TopicRecord[]): string[] {
  return records.map(({ headers }) => String(headers.event_id))
}

/** Each acknowledged event lies where its outcome says. */
export function assertLieWhereAcked(
  events: readonly OutboxEvent[],
  outcomes: readonly Outcome[],
  records: readonly TopicRecord[],
): void {
  const stored = new Map(
    records.map(record => [placeOf('', record), String(record.headers.event_id)]),
  )
  for (const [index, event] of events.entries()) {
    const outcome = outcomes[index]
    if (outcome?.kind === 'acked')
      assert.equal(stored.get(placeOf('', outcome)), event.eventId, `event ${index}`)
  }
}

/** Publishes what has no known outcome again and again, as the relay does. @throws after the deadline */
export async function publishUntilAcked(
  producer: Producer,
  events: readonly OutboxEvent[],
  deadlineMs: number,
): Promise<Acked[]> {
  const found = new Map<OutboxEvent, Acked>()
  const end = monotonicMs() + deadlineMs
  let waiting = [...events]
  while (waiting.length > 0) {
    const outcomes = await producer.publish(waiting, Math.min(soon(), end))
    for (const [index, outcome] of outcomes.entries()) {
      assert.notEqual(outcome.kind, 'rejected', JSON.stringify(outcome))
      if (outcome.kind === 'acked') found.set(waiting[index]!, outcome)
    }
    assert.ok(monotonicMs() < end, `not acknowledged in time: ${JSON.stringify(outcomes[0])}`)
    waiting = waiting.filter(event => !found.has(event))
  }
  return events.map(event => found.get(event)!)
}
