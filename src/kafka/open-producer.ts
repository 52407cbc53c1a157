import { ClientProducer, type ClientProducerOptions } from './client-producer.ts'

export type KafkaClientName = 'kafkajs' | 'platformatic'

export interface KafkaProducerOptions extends ClientProducerOptions {
  /** Default: kafkajs. */
  readonly client?: KafkaClientName
}

/** A producer on the client of that name; the other one's code is not loaded. Nothing is opened before it publishes. */
export async function openProducer(options: KafkaProducerOptions): Promise<ClientProducer> {
  if (options.client === 'platformatic') {
    const { PlatformaticSession } = await import('./platformatic-session.ts')
    return new ClientProducer(options, () => new PlatformaticSession(options))
  }
  const { KafkajsSession } = await import('./kafkajs-session.ts')
  return new ClientProducer(options, () => new KafkajsSession(options))
}
