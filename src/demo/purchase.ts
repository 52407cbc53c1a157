import { randomUUID } from 'node:crypto'
import type postgres from 'postgres'
import { enqueue } from '../outbox/enqueue.ts'
import { sha256 } from './fingerprint.ts'
import type { Purchase, Stream, WayOfWriting } from './purchase-plan.ts'

export type Transaction = postgres.TransactionSql<Record<string, never>>

export interface PurchaseWrite {
  readonly run: string
  readonly topics: Readonly<Record<Stream, string>>
  readonly purchase: Purchase
  /** One per event of the purchase. */
  readonly eventIds: readonly string[]
}

/** An event as the shop hands it to the outbox. */
interface ShopEvent {
  readonly eventId: string
  readonly topic: string
  readonly key: string
  readonly seqInKey: number
  readonly eventType: string
  readonly headers: Readonly<Record<string, string>>
  readonly payload: string
}

interface LockedCustomer {
  readonly customer: string
  readonly orders: string
  readonly payments: string
}

/** Writes a purchase, its events and the ledger in the caller's transaction. */
export async function makePurchase(tx: Transaction, write: PurchaseWrite): Promise<void> {
  const { run, purchase } = write
  const names = [...new Set(purchase.events.map(event => nameOf(event.customer)))]
  // Locked before anything is written and in one order for all: the lock makes commit order and id order the same
  // for each customer, and no two purchases can wait for each other.
  const customers = await tx<LockedCustomer[]>`
    select customer, orders_seq as orders, payments_seq as payments
    from shop.customers
    where run = ${run} and customer = any(${names})
    order by customer
    for update
  `
  const orderId = randomUUID()
  const events = eventsOf(write, customers, orderId)
  await Promise.all([
    tx`
      insert into shop.orders (order_id, run, customer, total_cents, status)
      values (${orderId}, ${run}, ${nameOf(purchase.buyer)}, ${purchase.totalCents},
        ${events.length > 1 ? 'paid' : 'placed'})
    `,
    countOn(tx, write, names),
    writeLedger(tx, events),
    writeEvents(tx, purchase.way, events),
  ])
}

function nameOf(customer: number): string {
  return `customer-${customer}`
}

function eventsOf(
  { purchase, topics, eventIds }: PurchaseWrite,
  customers: readonly LockedCustomer[],
  orderId: string,
): ShopEvent[] {
  return purchase.events.map(({ stream, customer, eventType }, index) => {
    const key = nameOf(customer)
    const locked = customers.find(c => c.customer === key)
    if (!locked) throw new Error(`${key} is not among the locked customers`)
    // A purchase writes at most one event to each (topic, key).
    const seqInKey = Number(locked[stream]) + 1
    const content = {
      seq: seqInKey,
      orderId,
      customer: key,
      totalCents: purchase.totalCents,
      placedAtMs: performance.timeOrigin + performance.now(),
    }
    return {
      eventId: eventIds[index] as string,
      topic: topics[stream],
      key,
      seqInKey,
      eventType,
      headers: { source: 'shop', 'content-type': 'application/json', 'order-id': orderId },
      payload: JSON.stringify(content),
    }
  })
}

function countOn(tx: Transaction, { run, purchase }: PurchaseWrite, names: readonly string[]) {
  const count = (name: string, stream: Stream) =>
    purchase.events.filter(e => nameOf(e.customer) === name && e.stream === stream).length
  return tx`
    update shop.customers c
    set orders_seq = orders_seq + w.orders, payments_seq = payments_seq + w.payments
    from unnest(
      ${names}::text[],
      ${names.map(name => count(name, 'orders'))}::bigint[],
      ${names.map(name => count(name, 'payments'))}::bigint[]
    ) w (customer, orders, payments)
    where c.run = ${run} and c.customer = w.customer
  `
}

function writeLedger(tx: Transaction, events: readonly ShopEvent[]) {
  return tx`
    insert into shop.ledger (event_id, topic, key, seq_in_key, event_type, headers, payload_sha256)
    select * from unnest(
      ${events.map(e => e.eventId)}::uuid[],
      ${events.map(e => e.topic)}::text[],
      ${events.map(e => e.key)}::text[],
      ${events.map(e => e.seqInKey)}::bigint[],
      ${events.map(e => e.eventType)}::text[],
      ${events.map(e => JSON.stringify(e.headers))}::text[]::jsonb[],
      ${events.map(e => sha256(e.payload))}::text[]
    )
  `
}

/** Writes the same rows in whichever way: the outbox does not mind. */
function writeEvents(tx: Transaction, way: WayOfWriting, events: readonly ShopEvent[]) {
  if (way === 'insert') return insertEvents(tx, events)
  if (way === 'sql_function') return Promise.all(events.map(event => callEnqueue(tx, event)))
  return enqueue(
    tx,
    events.map(({ payload, seqInKey: _, ...event }) => ({ ...event, payloadJson: payload })),
  )
}

/** All events in one plain insert: what any language can do. */
function insertEvents(tx: Transaction, events: readonly ShopEvent[]) {
  return tx`
    insert into outbox.events (event_id, topic, key, event_type, headers, payload)
    select * from unnest(
      ${events.map(e => e.eventId)}::uuid[],
      ${events.map(e => e.topic)}::text[],
      ${events.map(e => e.key)}::text[],
      ${events.map(e => e.eventType)}::text[],
      ${events.map(e => JSON.stringify(e.headers))}::text[]::jsonb[],
      ${events.map(e => e.payload)}::text[]::json[]
    )
  `
}

function callEnqueue(tx: Transaction, event: ShopEvent) {
  return tx`
    select outbox.enqueue(
      topic => ${event.topic},
      key => ${event.key},
      event_type => ${event.eventType},
      payload => ${event.payload}::text::json,
      headers => ${JSON.stringify(event.headers)}::text::jsonb,
      event_id => ${event.eventId}
    )
  `
}
