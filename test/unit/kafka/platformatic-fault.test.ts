import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  AuthenticationError,
  MultipleErrors,
  NetworkError,
  ProtocolError,
  protocolErrorsCodesById,
  ResponseError,
  UserError,
} from '@platformatic/kafka'
import fc from 'fast-check'
import { faultOfPlatformatic } from '../../../src/kafka/platformatic-fault.ts'

const PRODUCE = 0

/** As the client throws it when a partition's answer has this code. */
function refusal(code: number): Error {
  const errors = { '/responses/0/partition_responses/0': [code, null] as [number, null] }
  return new MultipleErrors('Producing messages failed.', [
    new ResponseError(PRODUCE, 11, errors, {}),
  ])
}

const codeOf = (name: string) =>
  Number(Object.entries(protocolErrorsCodesById).find(([, id]) => id === name)?.[0])

const EVENT_FAULTS = [
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_TOPIC_EXCEPTION',
  'INVALID_RECORD',
  'CORRUPT_MESSAGE',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
]

test('of all errors that the client knows, these are an event’s fault and no others', () => {
  for (const [code, name] of Object.entries(protocolErrorsCodesById)) {
    if (name === 'NONE') continue
    const { of } = faultOfPlatformatic(refusal(Number(code)))
    assert.equal(of, EVENT_FAULTS.includes(name) ? 'event' : 'way', name)
  }
})

test('whose fault it is, and how far it reaches', () => {
  const expected: [string, string, string][] = [
    ['UNKNOWN_TOPIC_OR_PARTITION', 'broker', 'topic'],
    ['NOT_LEADER_OR_FOLLOWER', 'broker', 'topic'],
    ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'broker', 'topic'],
    ['TOPIC_AUTHORIZATION_FAILED', 'producer', 'topic'],
    ['CLUSTER_AUTHORIZATION_FAILED', 'producer', 'cluster'],
    ['SASL_AUTHENTICATION_FAILED', 'producer', 'cluster'],
  ]
  for (const [name, fault, scope] of expected) {
    const { message, ...found } = faultOfPlatformatic(refusal(codeOf(name)))
    assert.deepEqual(found, { of: 'way', code: name, fault, scope })
    assert.match(message, /^Producing messages failed\.: /)
  }
})

test('what a record’s own error leaves open, the partition’s tells', () => {
  const record = new ProtocolError(-1, 'the record is bad')
  const partition = new ProtocolError('INVALID_RECORD')
  const fault = faultOfPlatformatic(new MultipleErrors('failed', [record, partition]))
  assert.equal(fault.code, 'invalid_record')
})

test('a missing topic is known by the sentence that is left of it', () => {
  const { code } = faultOfPlatformatic(new UserError('Unknown topic orders.'))
  assert.equal(code, 'UNKNOWN_TOPIC_OR_PARTITION')
})

test('refused credentials are the producer’s fault, on whichever broker', () => {
  const refused = new AuthenticationError('SASL authentication failed.', { cause: new Error('x') })
  const down = new NetworkError('no', {
    cause: Object.assign(new Error(''), { code: 'ECONNREFUSED' }),
  })
  const error = new MultipleErrors('Cannot connect to any broker.', [
    down,
    new NetworkError('Connection to a:1 failed.', { cause: refused }),
  ])
  const { message: _, ...fault } = faultOfPlatformatic(error)
  const code = 'SASL_AUTHENTICATION_FAILED'
  assert.deepEqual(fault, { of: 'way', code, fault: 'producer', scope: 'cluster' })
  assert.equal(faultOfPlatformatic(down).code, 'ECONNREFUSED')
})

test('whatever else may be thrown is the way’s fault: no event is buried for it', () => {
  const circular = new Error('round')
  circular.cause = circular
  // The last one cannot be made a text.
  const known = [circular, new TypeError('x'), new RangeError('y'), null, undefined]
  for (const error of [...known, { toString: false }])
    assert.equal(faultOfPlatformatic(error).of, 'way')
  fc.assert(
    fc.property(fc.anything(), error => {
      const fault = faultOfPlatformatic(error)
      assert.equal(fault.of, 'way')
      assert.ok(fault.code.length > 0 && fault.message.length <= 500)
    }),
  )
})
