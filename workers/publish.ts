/**
 * Piscina task: one batch in, one outcome per event out. Each thread keeps one producer for its life. What crosses
 * the boundary is plain data, because errors and Buffers lose their class on the way.
 */
import { workerData } from 'node:worker_threads'
import { KafkajsProducer, type KafkajsProducerOptions } from '../src/kafka/kafkajs-producer.ts'
import type { BatchMessage, OutcomesMessage } from '../src/relay/thread-message.ts'
import { decodeBatch, encodeOutcomes } from '../src/relay/thread-message.ts'

const producer = new KafkajsProducer(workerData as KafkajsProducerOptions)

export default async function publish(message: BatchMessage): Promise<OutcomesMessage> {
  const outcomes = await producer.publish(decodeBatch(message), message.untilMs)
  return encodeOutcomes(outcomes)
}
