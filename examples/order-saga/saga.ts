import {
  type Context,
  dispatcher,
  type EventDispatcher,
  HEADERS,
  jsonCodec,
} from '../../src/consumer/index.ts' // 'sluice-outbox/consumer' in your project
import { enqueue, type NewEvent } from '../../src/index.ts' // 'sluice-outbox' in your project

interface OrderEvent {
  readonly orderId: string
}

export interface SagaTimes {
  /** How long an order waits for its payment. */
  readonly payWithinMs: number
}

/** An order is reserved until it is paid, or until its time is over, whichever comes first. */
export function orderSaga(topic: string, { payWithinMs }: SagaTimes): EventDispatcher {
  const codec = jsonCodec<OrderEvent>()
  return dispatcher({ unknown: 'bad' })
    .on('OrderPlaced', codec, async ({ value: { orderId } }, { sql }) => {
      await sql`insert into saga.orders (order_id, status) values (${orderId}, 'reserved')`
      await enqueue(sql, deadlineOf(topic, orderId, new Date(Date.now() + payWithinMs)))
    })
    .on('OrderPaid', codec, ({ value: { orderId } }, context) => settle(context, orderId, 'paid'))
    .on('PaymentOverdue', codec, ({ value: { orderId } }, context) =>
      settle(context, orderId, 'cancelled'),
    )
    .on('OfferMade', codec, async ({ value: { orderId } }, { sql }) => {
      await sql`insert into saga.offers (order_id) values (${orderId})`
    })
}

/** Whoever comes first decides; the other finds nothing to do. */
async function settle({ sql }: Context, orderId: string, status: string): Promise<void> {
  await sql`
    update saga.orders set status = ${status} where order_id = ${orderId} and status = 'reserved'`
}

/** It waits for its time in the waiting room. Its order is lifted, or the order's payment would wait behind it. */
function deadlineOf(topic: string, orderId: string, at: Date): NewEvent {
  const headers = { [HEADERS.delayUntil]: at.toISOString(), [HEADERS.ordered]: 'false' }
  return { topic, key: orderId, eventType: 'PaymentOverdue', payload: { orderId }, headers }
}

/** Worth nothing after its time: it is then dropped. */
export function offerOf(topic: string, orderId: string, expiresAt: Date): NewEvent {
  const headers = { [HEADERS.expiresAt]: expiresAt.toISOString() }
  return { topic, key: orderId, eventType: 'OfferMade', payload: { orderId }, headers }
}

export function orderEvent(topic: string, eventType: string, orderId: string): NewEvent {
  return { topic, key: orderId, eventType, payload: { orderId } }
}
