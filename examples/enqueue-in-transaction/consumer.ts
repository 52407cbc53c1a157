import type { Consumer, Kafka } from 'kafkajs'
import type { Sql } from 'postgres'

/**
 * Adds up what was ordered. An event may be delivered more than once; its id and its effect are committed together, so
 * the second time its id is there already and nothing is added. The offset is committed after that.
 */
export async function startConsumer(kafka: Kafka, sql: Sql, topic: string): Promise<Consumer> {
  const consumer = kafka.consumer({ groupId: `${topic}-turnover` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message }) => {
      const eventId = String(message.headers?.event_id)
      const { total } = JSON.parse(String(message.value)) as { total: number }
      await sql.begin(async tx => {
        const added = await tx`
          insert into shop.handled (event_id) values (${eventId}) on conflict do nothing`
        if (added.count === 0) await tx`update shop.turnover set repeated = repeated + 1`
        else await tx`update shop.turnover set total = total + ${total}`
      })
    },
  })
  return consumer
}
