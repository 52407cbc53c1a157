import { randomUUID } from 'node:crypto'
import type { OutboxEvent } from '../../src/outbox/event.ts'

/** An event without anything special; what is given replaces its fields. */
export function sampleEvent(fields: Partial<OutboxEvent> = {}): OutboxEvent {
  return {
    lane: 0,
    id: '1',
    eventId: randomUUID(),
    topic: 'orders',
    key: 'order-17',
    eventType: 'OrderPlaced',
    payload: '{"total":1}',
    headersJson: '{}',
    attempts: 0,
    ageMs: 5,
    expired: false,
    ...fields,
  }
}

/** One event per entry, with ids 1, 2, 3, … where none is given. */
export function sampleEvents(fields: readonly Partial<OutboxEvent>[]): OutboxEvent[] {
  return fields.map((each, index) => sampleEvent({ id: String(index + 1), ...each }))
}
