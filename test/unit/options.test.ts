import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SluiceError } from '../../src/errors.ts'
import type { Option } from '../../src/options/option.ts'
import { optionTable } from '../../src/options/table.ts'
import { loadOptions, type Options } from '../../src/options.ts'

const minimal = { DATABASE_URL: 'postgres://me:hunter2@db/shop', KAFKA_BROKERS: 'a:9092, b:9093' }
const PEM = '-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n'

function faultsOf(env: Record<string, string>, overrides: Partial<Options> = {}): string[] {
  try {
    loadOptions(env, overrides)
  } catch (error) {
    assert.ok(error instanceof SluiceError && error.code === 'options')
    return error.message.split('\n')
  }
  return []
}

function temporary(t: TestContext, name: string, content: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-options-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

test('a database and brokers are enough; everything else has a default', () => {
  const options = loadOptions(minimal)
  assert.deepEqual(options.kafka, {
    client: 'kafkajs',
    brokers: ['a:9092', 'b:9093'],
    clientId: 'sluice',
  })
  assert.equal(options.databaseUrl, minimal.DATABASE_URL)
  assert.equal(options.batchSize, 1_000)
  assert.equal(options.reserveMs, 15_000)
  assert.equal(options.publishTimeoutMs, 7_500)
  assert.equal(options.slots, 2 * options.workers)
  assert.equal(options.retentionMs, 86_400_000)
  assert.deepEqual(options.http, { host: '127.0.0.1', port: 8780, exact: false })
})

test('options are frozen, through and through', () => {
  const options = loadOptions({ ...minimal, KAFKA_TLS: 'true' })
  for (const part of [
    options,
    options.kafka,
    options.kafka.brokers,
    options.kafka.tls,
    options.http,
  ]) {
    assert.ok(Object.isFrozen(part))
  }
})

test('all faults are told at once', () => {
  const faults = faultsOf({ SLUICE_WORKERS: '0', SLUICE_POLL_MS: '100ms', KAFKA_TLS: 'yes' })
  assert.equal(faults.length, 5)
  assert.match(faults.join(), /SLUICE_WORKERS must be an integer from 1 to 32.*got "0"/)
  assert.match(faults.join(), /SLUICE_POLL_MS.*got "100ms"/)
  assert.match(faults.join(), /KAFKA_TLS must be true or false/)
  assert.match(faults.join(), /DATABASE_URL.*must be given/)
  assert.match(faults.join(), /KAFKA_BROKERS must be given/)
})

test('what a command does not need may be absent, but not wrong', () => {
  const options = loadOptions({ DATABASE_URL: minimal.DATABASE_URL }, {}, ['database'])
  assert.deepEqual(options.kafka.brokers, [])
  assert.equal(loadOptions({}, {}, []).databaseUrl, '')
  assert.throws(() => loadOptions({ DATABASE_URL: 'mysql://x/y' }, {}, []), /DATABASE_URL/)
})

for (const option of Object.values(optionTable) as Option[]) {
  const { min, max } = option
  if (min === undefined || max === undefined) continue
  const [name] = option.names
  test(`${name} takes its bounds and nothing beyond them`, () => {
    // Options that others are bound by are set out of the way.
    const wide = { ...minimal, SLUICE_RESERVE_MS: '600000', SLUICE_RETRY_MAX_MS: '86400000' }
    const narrow = { ...minimal, SLUICE_PUBLISH_TIMEOUT_MS: '100', SLUICE_RETRY_BASE_MS: '1' }
    const low =
      name === 'SLUICE_PUBLISH_TIMEOUT_MS' || name === 'SLUICE_RETRY_BASE_MS' ? wide : narrow
    assert.deepEqual(faultsOf({ ...low, [name]: String(min) }), [])
    assert.deepEqual(faultsOf({ ...wide, [name]: String(max) }), [])
    assert.match(
      faultsOf({ ...low, [name]: String(min - 1) }).join(),
      new RegExp(`${name} must be`),
    )
    assert.match(
      faultsOf({ ...wide, [name]: String(max + 1) }).join(),
      new RegExp(`${name} must be`),
    )
  })
}

test('a retention is a whole number with a unit, or 0', () => {
  const of = (text: string) => loadOptions({ ...minimal, SLUICE_RETENTION: text }).retentionMs
  assert.deepEqual(['0', '30m', '24h', '7d', '90s'].map(of), [0, 1.8e6, 8.64e7, 6.048e8, 9e4])
  for (const text of ['1', '24', '-1h', '1.5h', '1w', '99999d', 'h']) {
    assert.match(
      faultsOf({ ...minimal, SLUICE_RETENTION: text }).join(),
      /SLUICE_RETENTION must be/,
    )
  }
})

test('the brokers must answer before half of the lease has passed', () => {
  const env = { ...minimal, SLUICE_RESERVE_MS: '4000', SLUICE_PUBLISH_TIMEOUT_MS: '2001' }
  assert.match(faultsOf(env).join(), /at most half of SLUICE_RESERVE_MS \(2000\).*after the lease/)
  assert.deepEqual(faultsOf({ ...env, SLUICE_PUBLISH_TIMEOUT_MS: '2000' }), [])
})

test('the first pause of a retry must not exceed the longest', () => {
  const env = { ...minimal, SLUICE_RETRY_BASE_MS: '10', SLUICE_RETRY_MAX_MS: '9' }
  assert.match(faultsOf(env).join(), /SLUICE_RETRY_BASE_MS must be at most/)
})

test('an unknown SLUICE_ name is refused with the nearest one', () => {
  assert.deepEqual(faultsOf({ ...minimal, SLUICE_WORKER: '2' }), [
    'SLUICE_WORKER in the environment is not an option; did you mean SLUICE_WORKERS?',
  ])
  assert.match(faultsOf({ ...minimal, SLUICE_ZZZZZZZZZZZZ: '2' }).join(), /is not an option$/)
  assert.deepEqual(faultsOf({ ...minimal, KAFKA_HEAP_OPTS: 'x', SLUICE_INFRA: 'docker' }), [])
})

test('an empty variable counts as absent', () => {
  assert.equal(
    loadOptions({ ...minimal, SLUICE_BATCH_SIZE: '', KAFKA_SASL_PASSWORD: '' }).batchSize,
    1_000,
  )
})

test('KAFKA_BOOTSTRAP_SERVERS is another name of KAFKA_BROKERS; two answers are refused', () => {
  const { DATABASE_URL } = minimal
  const options = loadOptions({ DATABASE_URL, KAFKA_BOOTSTRAP_SERVERS: 'k:1' })
  assert.deepEqual(options.kafka.brokers, ['k:1'])
  assert.deepEqual(faultsOf({ ...minimal, KAFKA_BOOTSTRAP_SERVERS: minimal.KAFKA_BROKERS }), [])
  assert.match(faultsOf({ ...minimal, KAFKA_BOOTSTRAP_SERVERS: 'k:1' }).join(), /only one of/)
})

test('brokers are host:port without a scheme, and credentials in them are not repeated', () => {
  for (const text of ['a', 'a:0', 'a:65536', 'a:1,,b:2', 'kafka://a:1', 'u:hunter2@a:1']) {
    const [fault = ''] = faultsOf({ ...minimal, KAFKA_BROKERS: text })
    assert.match(fault, /KAFKA_BROKERS must be a comma list/)
    assert.doesNotMatch(fault, /hunter2/)
  }
  assert.deepEqual(loadOptions({ ...minimal, KAFKA_BROKERS: '[::1]:9092' }).kafka.brokers, [
    '[::1]:9092',
  ])
})

test('without DATABASE_URL it is made from PG*, with everything encoded', () => {
  const { KAFKA_BROKERS } = minimal
  const env = {
    KAFKA_BROKERS,
    PGHOST: 'db',
    PGPORT: '5433',
    PGDATABASE: 'a b',
    PGUSER: 'me',
    PGPASSWORD: 'p/@:',
  }
  assert.equal(loadOptions(env).databaseUrl, 'postgres://me:p%2F%40%3A@db:5433/a%20b')
  assert.equal(
    loadOptions({ KAFKA_BROKERS, PGHOST: '/run/pg', PGSSLMODE: 'require' }).databaseUrl,
    'postgres:///?sslmode=require',
  )
  assert.match(faultsOf({ ...env, PGPORT: 'x' }).join(), /PGPORT must be an integer/)
})

test('a secret may be in a file, but not in two places', t => {
  const path = temporary(t, 'url', `${minimal.DATABASE_URL}\n`)
  const { KAFKA_BROKERS } = minimal
  assert.equal(
    loadOptions({ KAFKA_BROKERS, DATABASE_URL_FILE: path }).databaseUrl,
    minimal.DATABASE_URL,
  )
  assert.match(
    faultsOf({ ...minimal, DATABASE_URL_FILE: path }).join(),
    /only one of DATABASE_URL and DATABASE_URL_FILE/,
  )
  assert.match(
    faultsOf({ KAFKA_BROKERS, DATABASE_URL_FILE: `${path}x` }).join(),
    /readable file, got ENOENT/,
  )
  const empty = temporary(t, 'empty', '\n')
  assert.match(faultsOf({ KAFKA_BROKERS, DATABASE_URL_FILE: empty }).join(), /got an empty one/)
})

test('SASL is all or nothing, and its mechanism may be in any case', () => {
  const sasl = {
    KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
    KAFKA_SASL_USERNAME: 'u',
    KAFKA_SASL_PASSWORD: 'p',
  }
  assert.deepEqual(loadOptions({ ...minimal, ...sasl }).kafka.sasl, {
    mechanism: 'scram-sha-512',
    username: 'u',
    password: 'p',
  })
  assert.match(faultsOf({ ...minimal, KAFKA_SASL_USERNAME: 'u' }).join(), /must be given together/)
})

test('TLS takes the PEM texts, and never falls back to plain text because KAFKA_TLS was forgotten', t => {
  const path = temporary(t, 'ca.pem', PEM)
  const tls = { KAFKA_TLS: 'true', KAFKA_TLS_CA_FILE: path, KAFKA_TLS_INSECURE: 'true' }
  assert.deepEqual(loadOptions({ ...minimal, ...tls }).kafka.tls, { ca: PEM, insecure: true })
  assert.deepEqual(loadOptions({ ...minimal, KAFKA_TLS: 'true' }).kafka.tls, {})
  assert.match(faultsOf({ ...minimal, KAFKA_TLS_CA_FILE: path }).join(), /KAFKA_TLS must be true/)
  assert.match(
    faultsOf({ ...minimal, ...tls, KAFKA_TLS_CERT_FILE: path }).join(),
    /together, got one/,
  )
  assert.match(
    faultsOf({ ...minimal, ...tls, KAFKA_TLS_CA_FILE: temporary(t, 'x', 'hunter2') }).join(),
    /KAFKA_TLS_CA_FILE must be a file with PEM text/,
  )
})

test('a config file holds the same names, and the environment wins over it', t => {
  const path = temporary(
    t,
    'sluice.env',
    `# comment
export KAFKA_BROKERS=file:9092 # inline
DATABASE_URL=postgres://me:pw@db/shop
KAFKA_SASL_MECHANISM=plain
KAFKA_SASL_USERNAME='a #b'
KAFKA_SASL_PASSWORD="a \\"b\\" #c"
SLUICE_BATCH_SIZE = 7
SLUICE_POLL_MS=50
`,
  )
  const options = loadOptions({ SLUICE_CONFIG: path, SLUICE_POLL_MS: '60' })
  assert.deepEqual(options.kafka.brokers, ['file:9092'])
  assert.equal(options.kafka.sasl?.username, 'a #b')
  assert.equal(options.kafka.sasl?.password, 'a "b" #c')
  assert.equal(options.batchSize, 7)
  assert.equal(options.pollMs, 60)
})

test('a config file with unknown names or unreadable lines is refused, without repeating what stands there', t => {
  const path = temporary(
    t,
    'x.env',
    'BATCH=1\nKAFKA_BROKER=a:1\nhunter2\nA="x\nSLUICE_POLL_MS=5\nSLUICE_POLL_MS=6\n',
  )
  const faults = faultsOf({ ...minimal, SLUICE_CONFIG: path }).join('\n')
  assert.match(faults, /BATCH in the config file is not an option/)
  assert.match(
    faults,
    /KAFKA_BROKER in the config file is not an option; did you mean KAFKA_BROKERS\?/,
  )
  assert.match(faults, /line 3 of .* must be NAME=value/)
  assert.match(faults, /line 4 of .*quotes of A must be closed/)
  assert.match(faults, /line 6 of .*SLUICE_POLL_MS must be given once/)
  assert.doesNotMatch(faults, /hunter2/)
  assert.match(faultsOf({ ...minimal, SLUICE_CONFIG: `${path}x` }).join(), /readable, got ENOENT/)
})

test('an address is host:port or off, and one that is named is meant', () => {
  const of = (text: string) => loadOptions({ ...minimal, SLUICE_HTTP: text }).http
  assert.deepEqual(of('0.0.0.0:80'), { host: '0.0.0.0', port: 80, exact: true })
  assert.deepEqual(of('[::1]:80'), { host: '::1', port: 80, exact: true })
  assert.deepEqual(of('127.0.0.1:8780'), { host: '127.0.0.1', port: 8780, exact: true })
  assert.equal(of('off'), null)
  for (const text of ['80', ':80', 'a:65536', 'http://a:80']) {
    assert.match(faultsOf({ ...minimal, SLUICE_HTTP: text }).join(), /SLUICE_HTTP must be/)
  }
})

test('overrides win over the environment and are held to the same bounds', () => {
  const env = { ...minimal, SLUICE_BATCH_SIZE: '7', SLUICE_HTTP: '127.0.0.1:1' }
  const options = loadOptions(env, {
    batchSize: 8,
    http: null,
    reserveMs: 2_000,
    databaseUrl: 'postgres://x/y',
  })
  assert.equal(options.batchSize, 8)
  assert.equal(options.http, null)
  assert.equal(options.publishTimeoutMs, 1_000)
  assert.equal(options.databaseUrl, 'postgres://x/y')
  assert.match(
    faultsOf(minimal, { batchSize: 0 }).join(),
    /batchSize must be an integer from 1 to 5000, got 0/,
  )
  assert.match(faultsOf(minimal, { publishTimeoutMs: 8_000 }).join(), /at most half/)
})
