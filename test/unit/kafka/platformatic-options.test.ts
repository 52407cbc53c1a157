import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KafkaConnection } from '../../../src/kafka/connection.ts'
import { platformaticOptions } from '../../../src/kafka/platformatic-client.ts'

const of = (connection: Partial<KafkaConnection>) =>
  platformaticOptions({ brokers: ['kafka:9092'], clientId: 'test', ...connection }, 10_000, 32)

test('nothing is retried, no topic is made, and our deadlines are its own', () => {
  const options = of({})
  const { retries, repeatOnStaleMetadata, autocreateTopics, idempotent } = options
  assert.deepEqual(
    [retries, repeatOnStaleMetadata, autocreateTopics, idempotent],
    [0, false, false, false],
  )
  assert.deepEqual(
    [options.requestTimeout, options.timeout, options.connectTimeout],
    [10_000, 10_000, 5_000],
  )
  assert.deepEqual([options.sasl, options.tls], [undefined, undefined])
})

test('credentials are handed on under the names that the protocol has for the mechanisms', () => {
  const names = {
    plain: 'PLAIN',
    'scram-sha-256': 'SCRAM-SHA-256',
    'scram-sha-512': 'SCRAM-SHA-512',
  }
  for (const [mechanism, name] of Object.entries(names) as [keyof typeof names, string][]) {
    const { sasl } = of({ sasl: { mechanism, username: 'u', password: 'p' } })
    assert.deepEqual(sasl, { mechanism: name, username: 'u', password: 'p' })
  }
})

test('TLS checks the broker’s certificate by its name unless told not to', () => {
  const { tls, tlsServerName } = of({ tls: { ca: 'CA' } })
  assert.deepEqual([tls, tlsServerName], [{ ca: 'CA', rejectUnauthorized: true }, true])
  assert.deepEqual(of({ tls: { insecure: true } }).tls, { rejectUnauthorized: false })
  assert.equal(of({ tls: {}, brokers: ['127.0.0.1:9092'] }).tlsServerName, false)
})
