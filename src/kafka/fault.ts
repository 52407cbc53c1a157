import { describeError } from '../errors.ts'
import type { Unknown } from '../relay/producer.ts'

/** What a failed send means: the fault of an event in it, or of the way to the broker. */
export type Fault =
  /** `permanent`: the same bytes will be refused again. A batch is split until the event is found. */
  | {
      readonly of: 'event'
      readonly code: string
      readonly message: string
      readonly permanent: boolean
    }
  | ({ readonly of: 'way' } & Pick<Unknown, 'code' | 'message' | 'fault' | 'scope'>)

const EVENT_FAULTS: Readonly<Record<string, { code: string; permanent: boolean }>> = {
  MESSAGE_TOO_LARGE: { code: 'message_too_large', permanent: true },
  RECORD_LIST_TOO_LARGE: { code: 'message_too_large', permanent: true },
  INVALID_TOPIC_EXCEPTION: { code: 'invalid_topic', permanent: true },
  INVALID_RECORD: { code: 'invalid_record', permanent: false },
  INVALID_TIMESTAMP: { code: 'invalid_timestamp', permanent: false },
  CORRUPT_MESSAGE: { code: 'corrupt_message', permanent: false },
  UNSUPPORTED_FOR_MESSAGE_FORMAT: { code: 'unsupported_for_message_format', permanent: false },
}

const TOPIC_FAULTS_OF_BROKER = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'KAFKA_STORAGE_ERROR',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'REQUEST_TIMED_OUT',
])

/** Our own credentials or settings: repeating will not help, and no event is to blame. */
const FAULTS_OF_PRODUCER: Readonly<Record<string, 'cluster' | 'topic'>> = {
  TOPIC_AUTHORIZATION_FAILED: 'topic',
  CLUSTER_AUTHORIZATION_FAILED: 'cluster',
  SASL_AUTHENTICATION_FAILED: 'cluster',
  UNSUPPORTED_SASL_MECHANISM: 'cluster',
  ILLEGAL_SASL_STATE: 'cluster',
  SECURITY_DISABLED: 'cluster',
  INVALID_REQUIRED_ACKS: 'cluster',
  UNSUPPORTED_VERSION: 'cluster',
}

/**
 * Tells whose fault an error of kafkajs is. Total: whatever is not known is the way's, because an event must never
 * be buried for something that it may not have caused. That includes a TypeError or RangeError: records are handed
 * over as strings and Buffers, so it is a garbled answer that kafkajs could not read, not an event.
 */
export function faultOf(error: unknown): Fault {
  const chain = chainOf(error)
  const message = describeError(error).slice(0, 500)
  for (const link of chain) {
    const type = String((link as { type?: unknown }).type ?? '')
    const event = EVENT_FAULTS[type]
    if (event !== undefined) return { of: 'event', message, ...event }
    if (TOPIC_FAULTS_OF_BROKER.has(type)) {
      return { of: 'way', code: type, message, fault: 'broker', scope: 'topic' }
    }
    const scope = FAULTS_OF_PRODUCER[type]
    if (scope !== undefined) return { of: 'way', code: type, message, fault: 'producer', scope }
  }
  if (chain.some(link => link.name === 'KafkaJSSASLAuthenticationError')) {
    const code = 'SASL_AUTHENTICATION_FAILED'
    return { of: 'way', code, message, fault: 'producer', scope: 'cluster' }
  }
  const code = chain.at(-1)?.name ?? 'unknown_error'
  return { of: 'way', code, message, fault: 'broker', scope: 'cluster' }
}

function chainOf(error: unknown): Error[] {
  const chain: Error[] = []
  let current = error
  while (current instanceof Error && chain.length < 5) {
    chain.push(current)
    current = current.cause
  }
  return chain
}
