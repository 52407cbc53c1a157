import { isIP } from 'node:net'
import {
  type Callback,
  type CallbackWithPromise,
  GenericError,
  kPerformWithRetry,
  NetworkError,
  Producer,
  type ProducerOptions,
  SASLMechanisms,
  type SASLMechanismValue,
} from '@platformatic/kafka'
import type { KafkaConnection } from './connection.ts'

type Options = ProducerOptions<Buffer, Buffer, Buffer, Buffer>

const MECHANISMS: Readonly<
  Record<NonNullable<KafkaConnection['sasl']>['mechanism'], SASLMechanismValue>
> = {
  plain: SASLMechanisms.PLAIN,
  'scram-sha-256': SASLMechanisms.SCRAM_SHA_256,
  'scram-sha-512': SASLMechanisms.SCRAM_SHA_512,
}

const CONNECT_MS_MAX = 5_000

/** A producer of @platformatic/kafka 1.35 that does nothing by itself, and that a garbled answer does not crash. */
export class PlatformaticClient extends Producer {
  constructor(connection: KafkaConnection, requestTimeoutMs: number, requestsMax: number) {
    super(platformaticOptions(connection, requestTimeoutMs, requestsMax))
    // Its pool listens for one error of a connection; a second one, such as a reset during authentication or an
    // authentication that is repeated on a lost connection, would end the thread.
    this.connections.on('connecting', ({ connection: opened }) => opened.on('error', () => {}))
  }

  /** What it calls back with must be errors of its own: others make it fail in the socket's listener (`findBy`). */
  override [kPerformWithRetry]<T>(
    name: string,
    operation: (callback: Callback<T>) => void,
    callback: CallbackWithPromise<T>,
    ...others: [attempt?: number, errors?: Error[], skip?: (error: Error) => boolean]
  ): void {
    const guarded: Callback<T> = (error, ...results) => {
      if (error && !GenericError.isGenericError(error as GenericError)) {
        callback(new NetworkError(`${name} failed`, { cause: error }), ...results)
      } else callback(error, ...results)
    }
    super[kPerformWithRetry](name, operation, guarded as CallbackWithPromise<T>, ...others)
  }

  /** Ends it at once: its own close waits for what a silent broker has not read. */
  cut(): void {
    const sockets = [...this.connections].map(([, { socket }]) => socket)
    this.close(true, () => {})
    for (const socket of sockets) socket?.destroy()
  }
}

/** The options of a client that neither retries, nor makes topics, nor asks for metadata unasked. */
export function platformaticOptions(
  { brokers, clientId, sasl, tls }: KafkaConnection,
  requestTimeoutMs: number,
  requestsMax: number,
): Options {
  const options: Options = {
    clientId,
    bootstrapBrokers: [...brokers],
    connectTimeout: Math.min(requestTimeoutMs, CONNECT_MS_MAX),
    requestTimeout: requestTimeoutMs,
    // For how long the broker may wait for its replicas.
    timeout: requestTimeoutMs,
    retries: 0,
    repeatOnStaleMetadata: false,
    autocreateTopics: false,
    idempotent: false,
    maxInflights: requestsMax,
    // It is asked for when a topic is looked up, and a session that meets a fault is replaced.
    metadataMaxAge: Number.MAX_SAFE_INTEGER,
  }
  if (sasl) options.sasl = { ...sasl, mechanism: MECHANISMS[sasl.mechanism] }
  if (tls) {
    const { insecure, ...pem } = tls
    options.tls = { ...pem, rejectUnauthorized: !insecure }
    // Without it the broker is not told for which name it must show a certificate. Addresses are no names.
    options.tlsServerName = brokers.some(broker => isIP(broker.replace(/:\d+$/, '')) === 0)
  }
  return options
}
