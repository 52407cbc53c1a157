import { isUint8Array } from 'node:util/types'
import { SluiceError } from '../errors.ts'
import { EVENTS_MAX, enqueue } from '../outbox/enqueue.ts'
import type { NewEvent } from '../outbox/new-event.ts'
import type { AggregateRoot, DomainEvent } from './bus.ts'
import type { Tx } from './tx.ts'

/** Collects the events of an aggregate until they are published. */
export abstract class AggregateRootBase implements AggregateRoot {
  #events: DomainEvent[] = []

  get domainEvents(): readonly DomainEvent[] {
    return this.#events
  }

  clearEvents(): void {
    this.#events = []
  }

  protected record(event: DomainEvent): void {
    this.#events.push(event)
  }
}

/**
 * The outbox's event for a domain event: bytes stay bytes, all else becomes JSON, undefined a tombstone.
 * @throws SluiceError `event`: it has no type
 */
export function newEventOf(event: DomainEvent): NewEvent {
  return {
    topic: event.topicName(),
    key: event.messageKey(),
    eventType: eventTypeOf(event),
    ...(event.messageHeaders && { headers: event.messageHeaders() }),
    ...payloadOf(event.messageData()),
  }
}

export function payloadOf(data: unknown): Pick<NewEvent, 'payload' | 'payloadBytes'> {
  return isUint8Array(data) ? { payloadBytes: data } : { payload: data }
}

/**
 * Writes the event to the outbox: it is published at the transaction's commit.
 * @throws SluiceError as `enqueue`
 */
export async function publishEvent(tx: Tx, event: DomainEvent): Promise<void> {
  await enqueue(tx, newEventOf(event))
}

/**
 * Writes the aggregate's events to the outbox, in their order, and takes them off it once their rows are there. When
 * the transaction is rolled back after that, they are gone with the other changes: load the aggregate anew.
 * @returns how many
 * @throws SluiceError as `enqueue`; the events then stay on the aggregate, and the transaction must be rolled back
 */
export async function publishAggregate(tx: Tx, aggregate: AggregateRoot): Promise<number> {
  return drainEvents(aggregate, async events => {
    await enqueue(tx, events.map(newEventOf))
  })
}

/** Hands over the aggregate's events, also those that are added meanwhile, then takes them off. @returns how many */
export async function drainEvents(
  aggregate: AggregateRoot,
  publish: (events: readonly DomainEvent[]) => Promise<void>,
): Promise<number> {
  let count = 0
  while (aggregate.domainEvents.length > count) {
    const events = aggregate.domainEvents.slice(count, count + EVENTS_MAX)
    await publish(events)
    count += events.length
  }
  aggregate.clearEvents()
  return count
}

function eventTypeOf(event: DomainEvent): string {
  const given = event.eventType?.()
  if (given !== undefined) return given
  const name = event.constructor.name
  if (name === '' || name === 'Object') {
    const text = 'the event is an object without a class: give it eventType()'
    throw new SluiceError('event', text, { details: { field: 'eventType' } })
  }
  return name
}
