import type { Sql } from 'postgres'
import { enqueue } from '../../src/index.ts' // 'sluice-outbox/enqueue' in your project

/** Writes the order and its event together, or neither. Returns the event's id. */
export async function placeOrder(sql: Sql, topic: string, total: number): Promise<string> {
  return sql.begin(async tx => {
    const [order] = await tx<{ id: number }[]>`
      insert into shop.orders (total) values (${total}) returning id`
    const id = order?.id
    const eventId = await enqueue(tx, {
      topic,
      key: `order-${id}`,
      eventType: 'OrderPlaced',
      payload: { id, total },
    })
    if (total < 0) throw new Error('an order cannot cost less than nothing')
    return eventId
  })
}
