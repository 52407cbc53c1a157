import {
  type ISocketFactory,
  Kafka,
  type KafkaConfig,
  type logCreator,
  logLevel,
  type SASLOptions,
} from 'kafkajs'

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

let opened = 0

/**
 * kafkajs tries one address per connect, and each new object begins with the first: with that broker down, a client
 * that is made anew after each fault would never get to the others. So each begins with the next.
 */
function inTurn(brokers: readonly string[]): string[] {
  const first = opened++ % Math.max(1, brokers.length)
  return [...brokers.slice(first), ...brokers.slice(0, first)]
}

/**
 * A kafkajs client that never retries by itself. Every field of `retry` is given, because kafkajs fills gaps with
 * other numbers when NODE_ENV is `test`.
 * @param warnings takes what it warns of; default: nothing is told
 */
export function openKafka(
  connection: KafkaConnection,
  requestTimeoutMs: number,
  socketFactory?: ISocketFactory,
  warnings?: logCreator,
): Kafka {
  const config: KafkaConfig = {
    brokers: inTurn(connection.brokers),
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
  if (warnings) {
    config.logLevel = logLevel.WARN
    config.logCreator = warnings
  }
  if (socketFactory) config.socketFactory = socketFactory
  if (connection.sasl) config.sasl = { ...connection.sasl } as SASLOptions
  if (connection.tls) {
    const { insecure, ...pem } = connection.tls
    config.ssl = { ...pem, rejectUnauthorized: !insecure }
  }
  return new Kafka(config)
}
