import type { Pool } from 'pg'
import { enqueue } from '../../src/index.ts' // 'sluice-outbox/enqueue' in your project

/** Writes the order and its event together, or neither. Returns the event's id. */
export async function placeOrder(pool: Pool, topic: string, total: number): Promise<string> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    const insert = 'insert into shop.orders (total) values ($1) returning id'
    const { rows } = await client.query<{ id: number }>(insert, [total])
    const id = rows[0]?.id
    const eventId = await enqueue(client, {
      topic,
      key: `order-${id}`,
      eventType: 'OrderPlaced',
      payload: { id, total },
    })
    if (total < 0) throw new Error('an order cannot cost less than nothing')
    await client.query('commit')
    return eventId
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}
