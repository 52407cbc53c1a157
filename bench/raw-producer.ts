import type { Kafka } from 'kafkajs'
import { disconnect } from '../src/demo/kafka.ts'
import { type Backlog, recordsOf } from './backlog.ts'

const BATCH = 1_000

/**
 * Publishes the backlog's records from memory by one kafkajs producer, a batch after the other, acks from all
 * replicas: the speed that no relay over kafkajs with one producer exceeds.
 * @returns records per second, connecting and warming up left out
 */
export async function publishRaw(kafka: Kafka, backlog: Backlog): Promise<number> {
  const records = recordsOf(backlog)
  const producer = kafka.producer({ idempotent: false, allowAutoTopicCreation: false })
  await producer.connect()
  try {
    const send = (from: number, to: number) =>
      producer.send({ topic: backlog.topic, acks: -1, messages: records.slice(from, to) })
    // The first batch pays for metadata and for cold code; it is not measured.
    await send(0, BATCH)
    const startedAtMs = performance.now()
    for (let from = BATCH; from < records.length; from += BATCH) await send(from, from + BATCH)
    const seconds = (performance.now() - startedAtMs) / 1_000
    return (records.length - BATCH) / seconds
  } finally {
    await disconnect(producer)
  }
}
