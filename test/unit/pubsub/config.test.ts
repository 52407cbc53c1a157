import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { SluiceError } from '../../../src/errors.ts'
import { type ConfigOptions, config, type ManagedOptions } from '../../../src/pubsub/index.ts'

const BASE: ConfigOptions = { connection: { brokers: ['one:9092'], clientId: 'test' } }
const MANAGED: ManagedOptions = { brokers: ['b-1.msk:9096'], username: 'app', password: 'hunter2' }

function refusal(make: () => unknown): string {
  try {
    make()
  } catch (error) {
    assert.ok(error instanceof SluiceError, String(error))
    assert.equal(error.code, 'options')
    assert.doesNotMatch(error.message, /hunter2/)
    return error.message
  }
  return 'taken'
}

test('a local broker needs nothing said, and missing topics are made there', () => {
  const local = config.local()
  assert.deepEqual(local.connection, { brokers: ['127.0.0.1:9092'], clientId: 'sluice-pubsub' })
  assert.deepEqual(local.topics, { worker: 'worker', reply_to: 'reply_to' })
  assert.deepEqual(local.create_topics, { partitions: 3, replication_factor: 1 })
  assert.equal(local.frames_max, 1_000)
  assert.equal(local.requests_max, 10_000)
  assert.equal(local.reply_group, 'shared')
  const other = config.local({ brokers: ['localhost:1'], topics: { worker: 'w' } })
  assert.deepEqual(other.connection.brokers, ['localhost:1'])
  assert.deepEqual(other.topics, { worker: 'w', reply_to: 'reply_to' })
})

test('a managed cluster is reached over TLS and SASL, with the mechanism of AWS MSK', () => {
  const managed = config.managed(MANAGED)
  assert.deepEqual(managed.connection.tls, {})
  assert.deepEqual(managed.connection.sasl, {
    mechanism: 'scram-sha-512',
    username: 'app',
    password: 'hunter2',
  })
  assert.equal(managed.create_topics, null)
  const ca = '-----BEGIN CERTIFICATE-----\n'
  const own = config.managed({ ...MANAGED, ca, mechanism: 'SCRAM-SHA-256' })
  assert.deepEqual(own.connection.tls, { ca })
  assert.equal(own.connection.sasl?.mechanism, 'scram-sha-256')
})

test('a managed cluster without credentials or with a bad authority is refused', () => {
  const without = (name: string) => () =>
    config.managed({ ...MANAGED, [name]: undefined } as unknown as ManagedOptions)
  assert.match(refusal(without('username')), /^username must be a text that is not empty/)
  assert.match(refusal(without('password')), /^password must be a text that is not empty/)
  assert.match(
    refusal(() => config.managed({ ...MANAGED, password: '' })),
    /^password must be/,
  )
  assert.match(
    refusal(() => config.managed({ ...MANAGED, mechanism: 'md5' })),
    /^mechanism must be/,
  )
  assert.match(
    refusal(() => config.managed({ ...MANAGED, ca: 'ca.pem' })),
    /^ca must be the PEM text/,
  )
  const tls = { ...MANAGED, tls: false } as unknown as ManagedOptions
  assert.match(
    refusal(() => config.managed(tls)),
    /^tls is no option of config/,
  )
})

test('the environment names the cluster as it does for everything else', () => {
  const env = {
    KAFKA_BROKERS: 'one:9096,two:9096',
    KAFKA_TLS: 'true',
    KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
    KAFKA_SASL_USERNAME: 'app',
    KAFKA_SASL_PASSWORD: 'hunter2',
  }
  const found = config.from_env(env, { topics: { worker: 'w' } })
  assert.deepEqual(found.connection.brokers, ['one:9096', 'two:9096'])
  assert.deepEqual(found.connection.tls, {})
  assert.equal(found.connection.sasl?.mechanism, 'scram-sha-512')
  assert.equal('client' in found.connection, false)
  assert.equal(found.topics.worker, 'w')
  assert.match(
    refusal(() => config.from_env({})),
    /KAFKA_BROKERS/,
  )
})

test('a bad value is refused with its field, its shape and the cure', () => {
  const refused: readonly (readonly [Partial<ConfigOptions>, RegExp])[] = [
    [{ connection: { brokers: [], clientId: 'c' } }, /^connection\.brokers must be .*a list of 0/],
    [
      { connection: { brokers: ['kafka://one:9092'], clientId: 'c' } },
      /^connection\.brokers must be a list of host:port/,
    ],
    [{ connection: { brokers: ['one:1'], clientId: '' } }, /^connection\.clientId/],
    [{ topics: { worker: 'a b' } }, /^topics\.worker must be a topic's name: it holds/],
    [{ topics: { worker: 'same', reply_to: 'same' } }, /are the same: name two/],
    [{ groups: { reply_to: '' } }, /^groups\.reply_to must be a name/],
    [{ reply_topics: ['__internal'] }, /^reply_topics must be a topic's name/],
    [{ frames_max: 0 }, /^frames_max must be a whole number from 1 to 1000000, it is 0$/],
    [{ requests_max: 1.5 }, /^requests_max/],
    [{ sends_max: Number.NaN }, /^sends_max/],
    [{ frames_bytes_max: -1 }, /^frames_bytes_max/],
    [{ connect_timeout_ms: '5s' as never }, /^connect_timeout_ms .* a text of 2 characters$/],
    [{ publish_timeout_ms: 2 ** 31 }, /^publish_timeout_ms/],
    [{ drain_timeout_ms: -1 }, /^drain_timeout_ms/],
    [{ create_topics: { partitions: 0, replication_factor: 1 } }, /^create_topics\.partitions/],
    [{ create_topics: { partitions: 1, replication_factor: 0 } }, /^create_topics\.replication/],
    [{ reply_group: 'own' as never }, /^reply_group must be 'shared' or 'instance'/],
    [{ frame_codec: {} as never }, /^frame_codec must be an object with encode and decode/],
    [{ frame_max: 5 } as never, /^frame_max is no option of config: it takes .*frames_max/],
  ]
  for (const [change, message] of refused) {
    assert.match(
      refusal(() => new config({ ...BASE, ...change })),
      message,
    )
  }
})

test('it is frozen through, and copies what it is given', () => {
  const brokers = ['one:9092']
  const made = config.local({ brokers })
  brokers.push('two:9092')
  assert.deepEqual(made.connection.brokers, ['one:9092'])
  const parts = [made, made.topics, made.groups, made.connection, made.connection.brokers]
  for (const part of parts) assert.ok(Object.isFrozen(part))
})

test('neither printing nor logging it shows the password', () => {
  const managed = config.managed(MANAGED)
  for (const shown of [JSON.stringify(managed), inspect(managed, { depth: 9 })]) {
    assert.doesNotMatch(shown, /hunter2/)
    assert.match(shown, /b-1\.msk:9096/)
  }
})
