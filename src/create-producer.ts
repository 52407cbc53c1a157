import { loadOptions, type Options } from './options.ts'
import { PublishPool } from './relay/publish-pool.ts'

/**
 * The producer that a relay has by default, on its own: worker threads with kafkajs, or with KAFKA_CLIENT. It connects
 * with the first batch. The caller owes it a `close`.
 * @param config options that differ from the environment's and the defaults
 * @throws SluiceError code `options` that names every bad option
 */
export function createProducer(config: Partial<Options> = {}): PublishPool {
  return openPool(loadOptions(process.env, config, ['kafka']))
}

/** @param onCluster called with the id of each Kafka cluster that a thread has reached, when it is another than before */
export function openPool(
  { kafka, workers, slots, publishTimeoutMs, messageBytesMax }: Readonly<Options>,
  onCluster?: (clusterId: string) => void,
): PublishPool {
  const { client, ...connection } = kafka
  return new PublishPool({
    threads: workers,
    batchesMax: slots,
    producer: { client, connection, requestTimeoutMs: publishTimeoutMs, messageBytesMax },
    ...(onCluster && { onCluster }),
  })
}
