import { Kafka, type KafkaConfig, logLevel, type SASLOptions } from 'kafkajs'

/** How to reach the cluster; plain data, so that it can be handed to a worker thread. */
export interface KafkaConnection {
  /** `host:port` each. */
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly sasl?: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
    readonly username: string
    readonly password: string
  }
  /** PEM texts. An empty object: TLS with the system's authorities. */
  readonly tls?: {
    readonly ca?: string
    readonly cert?: string
    readonly key?: string
    readonly insecure?: boolean
  }
}

/**
 * A kafkajs client that never retries by itself. Every field of `retry` is given, because kafkajs fills gaps with
 * other numbers when NODE_ENV is `test`.
 */
export function openKafka(connection: KafkaConnection, requestTimeoutMs: number): Kafka {
  const config: KafkaConfig = {
    brokers: [...connection.brokers],
    clientId: connection.clientId,
    connectionTimeout: Math.min(requestTimeoutMs, 5_000),
    authenticationTimeout: Math.min(requestTimeoutMs, 5_000),
    requestTimeout: requestTimeoutMs,
    enforceRequestTimeout: true,
    retry: {
      retries: 0,
      initialRetryTime: 50,
      maxRetryTime: 50,
      factor: 0,
      multiplier: 1,
    },
    logLevel: logLevel.NOTHING,
  }
  if (connection.sasl) config.sasl = { ...connection.sasl } as SASLOptions
  if (connection.tls) {
    const { insecure, ...pem } = connection.tls
    config.ssl = { ...pem, rejectUnauthorized: !insecure }
  }
  return new Kafka(config)
}
