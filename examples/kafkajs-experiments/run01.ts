// KAFKA_BROKERS=… node --import tsx examples/kafkajs-experiments/run01.ts
// What awaiting run() waits for: five messages, three seconds apart, a handler of one second, and two consumers of
// which one's run() is awaited.
import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { openConsumer, produce, say, until, withTopic } from './experiment.ts'

await withTopic(async topic => {
  const handled: string[] = []
  const start = async (name: string, groupId: string) => {
    const consumer = openConsumer(topic, { groupId })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    const running = consumer.run({
      eachMessage: async ({ message }) => {
        say(`${name}: begins ${message.value}`)
        await pause(1_000)
        say(`${name}: has handled ${message.value}`)
        handled.push(`${name} ${message.value}`)
      },
    })
    return { consumer, running }
  }
  const awaited = await start('awaited', `${topic}-1`)
  await awaited.running
  say('awaited: run() has returned, and nothing was produced yet')
  assert.deepEqual(handled, [])
  const detached = await start('not awaited', `${topic}-2`)
  say('not awaited: run() was called')
  await produce(topic, 5, 3_000)
  await until('both have handled all', () => handled.length === 10)
  await detached.running
  await Promise.all([awaited.consumer.disconnect(), detached.consumer.disconnect()])
})
