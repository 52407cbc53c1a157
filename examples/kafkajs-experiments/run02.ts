// KAFKA_BROKERS=… node --import tsx examples/kafkajs-experiments/run02.ts
// What connect(), subscribe() and run() return, what they throw, and which events tell the rest.
import assert from 'node:assert/strict'
import type { Consumer } from 'kafkajs'
import { kafka, openConsumer, say, until, withTopic } from './experiment.ts'

const eachMessage = async () => {}

function listen(consumer: Consumer): string[] {
  const events: string[] = []
  for (const name of ['CONNECT', 'GROUP_JOIN', 'CRASH', 'STOP', 'DISCONNECT'] as const) {
    consumer.on(consumer.events[name], () => {
      events.push(name)
      say(`event ${name}`)
    })
  }
  return events
}

await withTopic(async topic => {
  const consumer = openConsumer(topic)
  const events = listen(consumer)
  const returned = [
    await consumer.connect(),
    await consumer.subscribe({ topic, fromBeginning: true }),
    await consumer.run({ eachMessage }),
  ]
  say(`connect, subscribe and run return ${returned.map(String)}`)
  assert.deepEqual(returned, [undefined, undefined, undefined])
  const again = await consumer.subscribe({ topic: 'other' }).catch((error: Error) => error)
  assert.ok(again instanceof Error)
  say(`subscribe of a running consumer throws ${again.name}: ${again.message}`)
  await consumer.disconnect()
  assert.deepEqual([...new Set(events)], ['CONNECT', 'GROUP_JOIN', 'STOP', 'DISCONNECT'])

  await joinThatFails(topic)
  await unknownTopic(`${topic}-unknown`)
})

/** A session time-out that the broker refuses: the group cannot be joined, and run() says nothing of it. */
async function joinThatFails(topic: string): Promise<void> {
  const consumer = openConsumer(topic, { sessionTimeout: 100, heartbeatInterval: 10 })
  const events = listen(consumer)
  await consumer.connect()
  await consumer.subscribe({ topic })
  const rejected = await consumer.run({ eachMessage }).then(
    () => false,
    () => true,
  )
  await until('the join has failed', () => events.includes('CRASH'))
  say(`the join failed and run() ${rejected ? 'rejected' : 'resolved all the same'}`)
  assert.equal(rejected, false)
  await consumer.disconnect()
}

/** Where the broker allows it, subscribing makes a topic of a misspelt name. */
async function unknownTopic(topic: string): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  for (const allowAutoTopicCreation of [false, true]) {
    const consumer = openConsumer(topic, { allowAutoTopicCreation })
    await consumer.connect()
    const error = await consumer.subscribe({ topic }).catch((thrown: Error) => thrown)
    const exists = (await admin.listTopics()).includes(topic)
    const what = error ? `throws ${error.name}: ${error.message}` : 'resolves'
    say(`unknown topic, allowAutoTopicCreation ${allowAutoTopicCreation}: subscribe ${what}`)
    say(`unknown topic: it ${exists ? 'is there now' : 'is not there'}`)
    assert.equal(exists && !allowAutoTopicCreation, false)
    await consumer.disconnect()
    if (exists) await admin.deleteTopics({ topics: [topic] })
  }
  await admin.disconnect()
}
