import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { expired } from '../../../src/kafka/client-session.ts'
import { faultOfKafkajs as faultOf } from '../../../src/kafka/kafkajs-fault.ts'

const require = createRequire(import.meta.url)
// kafkajs exports its errors in a way that an import by name does not see.
const {
  KafkaJSConnectionError,
  KafkaJSError,
  KafkaJSRequestTimeoutError,
  KafkaJSSASLAuthenticationError,
} = require('kafkajs') as typeof import('kafkajs')
const { createErrorFromCode, errorCodes } = require('kafkajs/src/protocol/error') as {
  createErrorFromCode: (code: number) => Error
  errorCodes: readonly { type: string; code: number }[]
}
/** Its declaration lacks the message that it takes. */
const SaslError = KafkaJSSASLAuthenticationError as new (message: string) => Error
type Retry = (options: object) => (work: () => Promise<never>) => Promise<never>
const retry = require('kafkajs/src/retry') as Retry

/** The error as kafkajs throws it once its retries, of which there are none, have ended. */
async function thrown(error: Error): Promise<unknown> {
  return retry({ retries: 0 })(() => Promise.reject(error)).catch((wrapped: unknown) => wrapped)
}

async function ofProtocol(type: string): Promise<unknown> {
  const known = errorCodes.find(each => each.type === type)
  assert.ok(known, type)
  return thrown(createErrorFromCode(known.code))
}

const eventFaults: ReadonlyArray<[type: string, code: string, permanent: boolean]> = [
  ['MESSAGE_TOO_LARGE', 'message_too_large', true],
  ['RECORD_LIST_TOO_LARGE', 'message_too_large', true],
  ['INVALID_TOPIC_EXCEPTION', 'invalid_topic', true],
  ['INVALID_RECORD', 'invalid_record', false],
  ['CORRUPT_MESSAGE', 'corrupt_message', false],
  ['UNSUPPORTED_FOR_MESSAGE_FORMAT', 'unsupported_for_message_format', false],
]

for (const [type, code, permanent] of eventFaults) {
  const worth = permanent ? 'no further attempt is worth it' : 'another attempt is worth it'
  test(`${type} is the event’s fault, and ${worth}`, async () => {
    const error = await ofProtocol(type)
    const { message, ...fault } = faultOf(error)
    assert.deepEqual(fault, { of: 'event', code, permanent })
    assert.notEqual(message, '')
  })
}

const wayFaults: ReadonlyArray<[type: string, fault: 'broker' | 'producer', scope: string]> = [
  ['INVALID_TIMESTAMP', 'producer', 'topic'],
  ['UNKNOWN_TOPIC_OR_PARTITION', 'broker', 'topic'],
  ['LEADER_NOT_AVAILABLE', 'broker', 'topic'],
  ['NOT_LEADER_FOR_PARTITION', 'broker', 'topic'],
  ['REPLICA_NOT_AVAILABLE', 'broker', 'topic'],
  ['NOT_ENOUGH_REPLICAS', 'broker', 'topic'],
  ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'broker', 'topic'],
  ['KAFKA_STORAGE_ERROR', 'broker', 'topic'],
  ['FENCED_LEADER_EPOCH', 'broker', 'topic'],
  ['UNKNOWN_LEADER_EPOCH', 'broker', 'topic'],
  ['REQUEST_TIMED_OUT', 'broker', 'topic'],
  ['TOPIC_AUTHORIZATION_FAILED', 'producer', 'topic'],
  ['CLUSTER_AUTHORIZATION_FAILED', 'producer', 'cluster'],
  ['SASL_AUTHENTICATION_FAILED', 'producer', 'cluster'],
  ['UNSUPPORTED_SASL_MECHANISM', 'producer', 'cluster'],
  ['ILLEGAL_SASL_STATE', 'producer', 'cluster'],
  ['SECURITY_DISABLED', 'producer', 'cluster'],
  ['INVALID_REQUIRED_ACKS', 'producer', 'cluster'],
  ['UNSUPPORTED_VERSION', 'producer', 'cluster'],
]

for (const [type, whose, scope] of wayFaults) {
  test(`${type} is the ${whose}’s fault and reaches as far as the ${scope}`, async () => {
    const { message, ...fault } = faultOf(await ofProtocol(type))
    assert.deepEqual(fault, { of: 'way', code: type, fault: whose, scope })
    assert.notEqual(message, '')
  })
}

test('of all errors that kafkajs knows, no other one is an event’s fault', async () => {
  const expected = new Set(eventFaults.map(([type]) => type))
  for (const { type } of errorCodes) {
    const { of } = faultOf(await ofProtocol(type))
    assert.equal(of, expected.has(type) ? 'event' : 'way', type)
  }
})

test('an error code that kafkajs does not know is the brokers’ fault', async () => {
  const fault = faultOf(await thrown(createErrorFromCode(12_345)))
  assert.equal(fault.of, 'way')
  assert.equal(fault.of === 'way' && fault.fault, 'broker')
})

test('a lost connection, a silent broker and our own deadline reach as far as the cluster', async () => {
  const connection = new KafkaJSConnectionError('Connection error: connect ECONNREFUSED', {
    broker: '127.0.0.1:1',
    code: 'ECONNREFUSED',
  })
  const request = new KafkaJSRequestTimeoutError('Request Produce timed out', {
    broker: '127.0.0.1:1',
    clientId: 'sluice',
    correlationId: 7,
    createdAt: 0,
    sentAt: 0,
    pendingDuration: 2_000,
  })
  const errors: ReadonlyArray<[unknown, string]> = [
    [await thrown(connection), 'KafkaJSConnectionError'],
    [await thrown(request), 'KafkaJSRequestTimeoutError'],
    [expired('publishing'), 'timeout'],
  ]
  for (const [error, code] of errors) {
    const { message, ...fault } = faultOf(error)
    assert.deepEqual(fault, { of: 'way', code, fault: 'broker', scope: 'cluster' })
    assert.notEqual(message, '')
  }
})

test('refused credentials are the producer’s fault, whatever the mechanism says', async () => {
  const refused = new SaslError('SASL SCRAM SHA256 authentication failed')
  const { message: _, ...fault } = faultOf(await thrown(refused))
  const code = 'SASL_AUTHENTICATION_FAILED'
  assert.deepEqual(fault, { of: 'way', code, fault: 'producer', scope: 'cluster' })
})

test('an answer that kafkajs cannot read is the brokers’ fault, not an event’s', async () => {
  for (const error of [new TypeError('not a string'), new RangeError('out of bounds')]) {
    const { message: _, ...fault } = faultOf(await thrown(error))
    assert.deepEqual(fault, { of: 'way', code: error.name, fault: 'broker', scope: 'cluster' })
  }
})

test('whatever else may be thrown is the way’s fault: no event is buried for it', () => {
  const circular = new Error('round')
  circular.cause = circular
  for (const error of [circular, new KafkaJSError('unheard of'), new Error(''), null, undefined]) {
    assert.equal(faultOf(error).of, 'way')
  }
  const errors = fc.oneof(
    fc.string().map(message => new Error(message)),
    fc.string(),
    fc.double(),
    fc.bigInt(),
    fc.boolean(),
  )
  fc.assert(
    fc.property(errors, error => {
      assert.equal(faultOf(error).of, 'way')
    }),
  )
})

test('a message has a bounded length', () => {
  assert.equal(faultOf(new Error('x'.repeat(100_000))).message.length, 500)
})
