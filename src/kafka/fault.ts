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

export type EventFault = Extract<Fault, { of: 'event' }>
export type WayFault = Extract<Fault, { of: 'way' }>

const EVENT_FAULTS: ReadonlyMap<string, { code: string; permanent: boolean }> = new Map([
  ['MESSAGE_TOO_LARGE', { code: 'message_too_large', permanent: true }],
  ['RECORD_LIST_TOO_LARGE', { code: 'message_too_large', permanent: true }],
  ['INVALID_TOPIC_EXCEPTION', { code: 'invalid_topic', permanent: true }],
  ['INVALID_RECORD', { code: 'invalid_record', permanent: false }],
  ['CORRUPT_MESSAGE', { code: 'corrupt_message', permanent: false }],
  ['UNSUPPORTED_FOR_MESSAGE_FORMAT', { code: 'unsupported_for_message_format', permanent: false }],
])

const TOPIC_FAULTS_OF_BROKER = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  // The same code by its name in kafkajs and in Kafka since 2.4.
  'NOT_LEADER_FOR_PARTITION',
  'NOT_LEADER_OR_FOLLOWER',
  'REPLICA_NOT_AVAILABLE',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'KAFKA_STORAGE_ERROR',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'REQUEST_TIMED_OUT',
])

/** Our own credentials, settings or clock: no event is to blame. */
const FAULTS_OF_PRODUCER: ReadonlyMap<string, 'cluster' | 'topic'> = new Map([
  // The time of a record is that of its sending: a clock that is wrong would bury all that waits.
  ['INVALID_TIMESTAMP', 'topic'],
  ['TOPIC_AUTHORIZATION_FAILED', 'topic'],
  ['CLUSTER_AUTHORIZATION_FAILED', 'cluster'],
  ['SASL_AUTHENTICATION_FAILED', 'cluster'],
  ['UNSUPPORTED_SASL_MECHANISM', 'cluster'],
  ['ILLEGAL_SASL_STATE', 'cluster'],
  ['SECURITY_DISABLED', 'cluster'],
  ['INVALID_REQUIRED_ACKS', 'cluster'],
  ['UNSUPPORTED_VERSION', 'cluster'],
])

const MESSAGE_LENGTH_MAX = 500

/** @returns null for a name of Kafka's that tells nothing about whose fault it is */
export function faultOfKafkaError(name: string, text: string): Fault | null {
  const message = text.slice(0, MESSAGE_LENGTH_MAX)
  const event = EVENT_FAULTS.get(name)
  if (event !== undefined) return { of: 'event', message, ...event }
  if (TOPIC_FAULTS_OF_BROKER.has(name)) {
    return { of: 'way', code: name, message, fault: 'broker', scope: 'topic' }
  }
  const scope = FAULTS_OF_PRODUCER.get(name)
  return scope === undefined ? null : { of: 'way', code: name, message, fault: 'producer', scope }
}

/**
 * What is not known is the way's, because an event must never be buried for something that it may not have caused.
 * That includes a TypeError or RangeError: it may be a garbled answer that the client could not read.
 */
export function faultOfWay(code: string, text: string): WayFault {
  const message = text.slice(0, MESSAGE_LENGTH_MAX)
  return { of: 'way', code, message, fault: 'broker', scope: 'cluster' }
}
