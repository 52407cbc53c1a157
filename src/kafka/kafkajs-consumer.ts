import type { Consumer, ISocketFactory, Kafka } from 'kafkajs'
import { openKafka } from './connection.ts'
import type { KafkajsCluster } from './kafkajs-cluster.ts'
import './kafkajs-queue.ts'
import {
  type KafkajsSettings,
  METADATA_AGE_MAX_MS,
  REQUEST_TIMEOUT_MS,
  RETRY,
} from './kafkajs-settings.ts'
import { kafkajsWarnings } from './kafkajs-warnings.ts'
import { topicAssigner } from './topic-assigner.ts'

export interface OpenConsumer {
  readonly kafka: Kafka
  readonly consumer: Consumer
  /** Of the consumer; kafkajs hands it to the assigner alone. */
  readonly cluster: KafkajsCluster
}

/**
 * A consumer that is not connected yet, makes no topic and never restarts by itself.
 * @param closed aborted once nothing that it warns of matters any more
 */
export function openConsumer(
  settings: KafkajsSettings,
  sockets: ISocketFactory,
  closed: AbortSignal,
): OpenConsumer {
  const { connection, log } = settings
  const kafka = openKafka(connection, REQUEST_TIMEOUT_MS, sockets, kafkajsWarnings(log, closed))
  let cluster: KafkajsCluster | null = null
  const consumer = kafka.consumer({
    groupId: settings.group,
    allowAutoTopicCreation: false,
    metadataMaxAge: METADATA_AGE_MAX_MS,
    sessionTimeout: settings.sessionTimeoutMs,
    rebalanceTimeout: settings.rebalanceTimeoutMs,
    heartbeatInterval: settings.heartbeatIntervalMs,
    maxWaitTimeInMs: settings.maxWaitMs,
    maxBytesPerPartition: settings.maxBytesPerPartition,
    retry: { ...RETRY, restartOnFailure: async () => false },
    partitionAssigners: [
      given => {
        cluster = given.cluster as unknown as KafkajsCluster
        return topicAssigner(cluster)
      },
    ],
  })
  if (cluster === null) throw new Error('kafkajs did not ask for the assigner')
  return { kafka, consumer, cluster }
}
