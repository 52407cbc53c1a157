// KAFKA_BROKERS=… node --import tsx examples/kafkajs-experiments/fail03.ts
// The main topic as the retry topic: what fails is produced again, at its end, and the offset goes on.
import assert from 'node:assert/strict'
import { kafka, openConsumer, produce, say, until, withTopic } from './experiment.ts'

await withTopic(async topic => {
  await produce(topic, 5)
  const handled: string[] = []
  const producer = kafka.producer()
  await producer.connect()
  const consumer = openConsumer(topic)
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message }) => {
      const { key, value, headers } = message
      const attempt = Number(headers?.attempt ?? 1)
      if (String(value) === '3' && attempt < 3) {
        say(`3 fails, attempt ${attempt}: produced again`)
        await producer.send({
          topic,
          messages: [{ key, value, headers: { attempt: String(attempt + 1) } }],
        })
        return
      }
      say(`handles ${value}`)
      handled.push(String(value))
    },
  })
  await until('all are handled', () => handled.length === 5)
  await Promise.all([consumer.disconnect(), producer.disconnect()])
  say(`order of handling: ${handled}`)
  assert.deepEqual(handled, ['1', '2', '4', '5', '3'])
})
