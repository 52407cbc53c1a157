import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainEvent } from '../../../src/consumer/bus.ts'
import {
  AggregateRootBase,
  newEventOf,
  publishAggregate,
  publishEvent,
} from '../../../src/consumer/domain-event.ts'
import type { Tx } from '../../../src/consumer/tx.ts'
import { SluiceError } from '../../../src/errors.ts'

class OrderPlaced implements DomainEvent {
  readonly n: number

  constructor(n: number) {
    this.n = n
  }

  messageKey = () => 'order-17'
  messageData = (): unknown => ({ n: this.n })
  topicName = () => 'orders'
}

class Order extends AggregateRootBase {
  place(n: number): void {
    this.record(new OrderPlaced(n))
  }
}

/** A transaction that notes the documents of `enqueue`. */
function transaction(written: (events: unknown[]) => number = events => events.length) {
  const documents: { event_type: string; key: string; payload: string }[][] = []
  const unsafe = async (_: string, [document]: string[]) => {
    documents.push(JSON.parse(document!))
    return [{ written: written(documents.at(-1)!) }]
  }
  return { documents, tx: { unsafe, savepoint: () => {} } as unknown as Tx }
}

test('an event is written under its topic, its key and the name of its class', async () => {
  const { documents, tx } = transaction()
  await publishEvent(tx, new OrderPlaced(1))
  const [[event]] = documents as unknown as [[Record<string, unknown>]]
  assert.equal(event?.topic, 'orders')
  assert.equal(event?.key, 'order-17')
  assert.equal(event?.event_type, 'OrderPlaced')
  assert.equal(event?.payload, '{"n":1}')
})

test('an event may name its type, and must when it has no class', () => {
  const { messageKey, messageData, topicName } = new OrderPlaced(1)
  const plain = { messageKey, messageData, topicName }
  assert.equal(newEventOf({ ...plain, eventType: () => 'Placed' }).eventType, 'Placed')
  assert.throws(
    () => newEventOf(plain),
    error => error instanceof SluiceError && error.code === 'event',
  )
})

test('bytes are published as bytes, and undefined as a tombstone', () => {
  const event = new OrderPlaced(1)
  event.messageData = () => Buffer.from([1, 2])
  assert.deepEqual(newEventOf(event).payloadBytes, Buffer.from([1, 2]))
  event.messageData = () => undefined
  assert.equal(newEventOf(event).payload, undefined)
})

test('an aggregate’s events are written by one statement, in their order, and taken off it', async () => {
  const { documents, tx } = transaction()
  const order = new Order()
  for (const n of [1, 2, 3]) order.place(n)
  assert.equal(await publishAggregate(tx, order), 3)
  assert.deepEqual(
    documents.map(events => events.map(({ payload }) => payload)),
    [['{"n":1}', '{"n":2}', '{"n":3}']],
  )
  assert.deepEqual(order.domainEvents, [])
  assert.equal(await publishAggregate(tx, order), 0)
})

test('events whose rows were not written stay on the aggregate', async () => {
  const { tx } = transaction(() => 0)
  const order = new Order()
  order.place(1)
  await assert.rejects(publishAggregate(tx, order), SluiceError)
  assert.equal(order.domainEvents.length, 1)
})

test('an event that is added while the others are written is written too', async () => {
  const order = new Order()
  let late = true
  const { documents, tx } = transaction(events => {
    if (late) order.place(2)
    late = false
    return events.length
  })
  order.place(1)
  assert.equal(await publishAggregate(tx, order), 2)
  assert.equal(documents.flat().length, 2)
  assert.deepEqual(order.domainEvents, [])
})
