/** Piscina task on kafkajs. Each thread keeps one producer for its life. */
import { workerData } from 'node:worker_threads'
import { batchTask } from '../src/kafka/batch-task.ts'
import { ClientProducer, type ClientProducerOptions } from '../src/kafka/client-producer.ts'
import { KafkajsSession } from '../src/kafka/kafkajs-session.ts'

const options = workerData as ClientProducerOptions

export default batchTask(new ClientProducer(options, () => new KafkajsSession(options)))
