/** Piscina task on `@platformatic/kafka`; a file of its own, because loading that library costs 60 MB. */
import { workerData } from 'node:worker_threads'
import { batchTask } from '../src/kafka/batch-task.ts'
import { ClientProducer, type ClientProducerOptions } from '../src/kafka/client-producer.ts'
import { PlatformaticSession } from '../src/kafka/platformatic-session.ts'

const options = workerData as ClientProducerOptions

export default batchTask(new ClientProducer(options, () => new PlatformaticSession(options)))
