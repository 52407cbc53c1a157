// KAFKA_BROKERS=… node --import tsx examples/kafkajs-experiments/fail02.ts
// eachMessage with commits of our own, offset + 1, after each message: where a second consumer goes on after the
// first has failed at the third message and gone. And what committing the offset itself would do.
import assert from 'node:assert/strict'
import { openConsumer, produce, say, until, withTopic } from './experiment.ts'

await withTopic(async topic => {
  await produce(topic, 5)
  assert.deepEqual(await consume(topic, 'plus-one', 1n, true), ['1', '2'])
  assert.deepEqual(await consume(topic, 'plus-one', 1n, false), ['3', '4', '5'])
  assert.deepEqual(await consume(topic, 'as-is', 0n, true), ['1', '2'])
  assert.deepEqual(await consume(topic, 'as-is', 0n, false), ['2', '3', '4', '5'])
})

/** @returns what was handled until the third failed, or all were */
async function consume(
  topic: string,
  group: string,
  add: bigint,
  failsAtThird: boolean,
): Promise<string[]> {
  const handled: string[] = []
  let failed = false
  const consumer = openConsumer(topic, { groupId: `${topic}-${group}` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      const n = String(message.value)
      if (n === '3' && failsAtThird) {
        failed = true
        throw new Error('a dependency is down')
      }
      handled.push(n)
      const offset = String(BigInt(message.offset) + add)
      await consumer.commitOffsets([{ topic, partition, offset }])
    },
  })
  await until('it has failed or handled all', () => failed || handled.includes('5'))
  await consumer.disconnect()
  say(`commits offset + ${add}, ${failsAtThird ? 'fails at 3' : 'goes on'}: handled ${handled}`)
  return handled
}
