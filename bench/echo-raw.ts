import { randomUUID } from 'node:crypto'
import type { Consumer, EachBatchHandler, Kafka, Producer } from 'kafkajs'
import { disconnect } from '../src/demo/kafka.ts'
import { until } from '../test/support/until.ts'
import type { Echo, EchoTopics } from './echo.ts'

const JOIN_DEADLINE_MS = 60_000
const COMMIT_EVERY_MS = 250

/** Two kafkajs producers and two consumers, and a map from correlation id to who waits: no time-out, no rebalance. */
export async function openRawEcho(kafka: Kafka, topics: EchoTopics): Promise<Echo> {
  const waiting = new Map<string, () => void>()
  const [requests, replies] = [kafka.producer(), kafka.producer()]
  await Promise.all([requests.connect(), replies.connect()])
  const worker = await consuming(kafka, topics.requests, async ({ batch }) => {
    const messages = batch.messages.map(({ key, value }) => ({ key, value }))
    await replies.send({ topic: topics.replies, messages, acks: -1 })
  })
  const requester = await consuming(kafka, topics.replies, async ({ batch }) => {
    for (const { key } of batch.messages) {
      const id = String(key)
      waiting.get(id)?.()
      waiting.delete(id)
    }
  })
  return {
    ask: async value => {
      const id = randomUUID()
      const replied = new Promise<void>(resolve => waiting.set(id, resolve))
      await sendOne(requests, topics.requests, id, value)
      await replied
    },
    close: async () => {
      await Promise.all([requests, replies, worker, requester].map(disconnect))
    },
  }
}

async function sendOne(producer: Producer, topic: string, key: string, value: Buffer) {
  await producer.send({ topic, messages: [{ key, value }], acks: -1 })
}

/** Resolves once the group has been joined and has asked for records. */
async function consuming(
  kafka: Kafka,
  topic: string,
  eachBatch: EachBatchHandler,
): Promise<Consumer> {
  const consumer = kafka.consumer({
    groupId: `${topic}-raw`,
    maxWaitTimeInMs: 250,
    allowAutoTopicCreation: false,
  })
  let fetches = 0
  consumer.on(consumer.events.FETCH, () => {
    fetches++
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: false })
  // By default it would commit after each batch, and wait for that.
  const settings = { autoCommitInterval: COMMIT_EVERY_MS, partitionsConsumedConcurrently: 8 }
  await consumer.run({ eachBatch, ...settings })
  await until(() => fetches > 0, { deadlineMs: JOIN_DEADLINE_MS, what: `${topic} is read` })
  return consumer
}
