// KAFKA_BROKERS=… node --import tsx examples/kafkajs-experiments/fail01.ts
// Five messages of a key; the handler throws at the third until it has done so five times. Then a TypeError.
import assert from 'node:assert/strict'
import { openConsumer, produce, say, until, withTopic } from './experiment.ts'

await withTopic(async topic => {
  await produce(topic, 5)
  const handled: string[] = []
  let failures = 0
  const crashes: boolean[] = []
  const consumer = openConsumer(topic)
  consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
    crashes.push(restart)
    say(`event CRASH: ${error.name}, cause ${(error.cause as Error)?.name}, restart ${restart}`)
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message }) => {
      const n = String(message.value)
      if (n === '3' && failures < 5) {
        failures++
        say(`throws at 3, for the ${failures}. time`)
        throw new Error('a dependency is down')
      }
      if (n === '6') throw new TypeError('x is undefined')
      say(`handles ${n}`)
      handled.push(n)
    },
  })
  await until('all are handled', () => handled.includes('5'))
  assert.deepEqual(handled, ['1', '2', '3', '4', '5'])
  assert.deepEqual(new Set(crashes), new Set([true]))

  await produceSixth(topic)
  await until('it is dead', () => crashes.includes(false))
  say('a TypeError ends the consumer for good, and the process lives on')
  await consumer.disconnect()
})

async function produceSixth(topic: string): Promise<void> {
  const { kafka } = await import('./experiment.ts')
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic, messages: [{ key: 'order-17', value: '6' }] })
  await producer.disconnect()
}
