import { setTimeout as pause } from 'node:timers/promises'
import { type Consumer, type ConsumerConfig, Kafka, logLevel } from 'kafkajs'

const { KAFKA_BROKERS = 'localhost:9092', TOPIC = 'kafkajs-experiments' } = process.env

/** Retries soon, so that an experiment ends within seconds. */
export const kafka = new Kafka({
  clientId: 'experiments',
  brokers: KAFKA_BROKERS.split(','),
  logLevel: logLevel.NOTHING,
})

const startedAtMs = Date.now()

/** One line: seconds since the start, and what was seen. */
export function say(text: string): void {
  const seconds = ((Date.now() - startedAtMs) / 1_000).toFixed(1).padStart(5)
  process.stdout.write(`${seconds} s  ${text}\n`)
}

/** A topic of this run alone, with one partition; deleted when `work` has ended. */
export async function withTopic(work: (topic: string) => Promise<void>): Promise<void> {
  const topic = `${TOPIC}-${process.pid}-${Date.now()}`
  const admin = kafka.admin()
  await admin.connect()
  try {
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] })
    await work(topic)
  } finally {
    await admin.deleteTopics({ topics: [topic] })
    await admin.disconnect()
  }
}

/** Messages "1" to "n" of one key. */
export async function produce(topic: string, count: number, everyMs = 0): Promise<void> {
  const producer = kafka.producer()
  await producer.connect()
  for (let n = 1; n <= count; n++) {
    await producer.send({ topic, messages: [{ key: 'order-17', value: String(n) }] })
    if (everyMs > 0 && n < count) {
      say(`produced ${n}`)
      await pause(everyMs)
    }
  }
  await producer.disconnect()
  say(`produced all ${count}`)
}

export function openConsumer(topic: string, options: Partial<ConsumerConfig> = {}): Consumer {
  return kafka.consumer({
    groupId: `${topic}-group`,
    maxWaitTimeInMs: 200,
    retry: { retries: 2, initialRetryTime: 100 },
    ...options,
  })
}

/** Waits until it is true; an experiment that does not come to its end must not pass for one that did. */
export async function until(what: string, predicate: () => boolean, withinMs = 20_000) {
  for (const endMs = Date.now() + withinMs; !predicate(); await pause(20)) {
    if (Date.now() > endMs) throw new Error(`did not become true: ${what}`)
  }
}
