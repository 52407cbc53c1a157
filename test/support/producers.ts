import type { ClientProducer } from '../../src/kafka/client-producer.ts'
import {
  type KafkaClientName,
  type KafkaProducerOptions,
  openProducer,
} from '../../src/kafka/open-producer.ts'
import type { Producer } from '../../src/relay/producer.ts'
import { PublishPool, type PublishPoolOptions } from '../../src/relay/publish-pool.ts'
import { cleanup } from './cleanup.ts'
import { kafkaBrokers, type Scope } from './parts.ts'

export const CLIENTS: readonly KafkaClientName[] = ['kafkajs', 'platformatic']

const CLOSE_MS = 1_000

export function producerOptions(
  client: KafkaClientName,
  brokers = kafkaBrokers(),
): KafkaProducerOptions {
  return {
    client,
    connection: { brokers, clientId: 'sluice-test' },
    requestTimeoutMs: 10_000,
    messageBytesMax: 900_000,
  }
}

/** A producer in this process; closed after the test. */
export async function openInProcess(
  t: Scope,
  client: KafkaClientName,
  brokers?: string[],
): Promise<ClientProducer> {
  const producer = await openProducer(producerOptions(client, brokers))
  cleanup(t, () => producer.close(CLOSE_MS))
  return producer
}

/** A pool of threads; closed after the test. */
export function openThreads(
  t: Scope,
  client: KafkaClientName,
  { brokers, ...options }: Partial<PublishPoolOptions> & { brokers?: string[] } = {},
): PublishPool {
  const producer = { ...producerOptions(client, brokers) }
  const pool = new PublishPool({ threads: 2, batchesMax: 8, producer, ...options })
  cleanup(t, () => pool.close())
  return pool
}

export interface Way {
  readonly name: string
  readonly client: KafkaClientName
  open(t: Scope, brokers?: string[]): Promise<Producer>
}

/** All producers that the relay can be given. */
export const WAYS: readonly Way[] = CLIENTS.flatMap((client): Way[] => [
  { name: client, client, open: (t, brokers) => openInProcess(t, client, brokers) },
  {
    name: `threads with ${client}`,
    client,
    open: async (t, brokers) => openThreads(t, client, brokers ? { brokers } : {}),
  },
])
