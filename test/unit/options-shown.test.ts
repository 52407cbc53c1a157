import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import { describeError, SluiceError } from '../../src/errors.ts'
import { printExample, printHelp, printMarkdown } from '../../src/options/print.ts'
import { optionTable } from '../../src/options/table.ts'
import { describeOptions, loadOptions } from '../../src/options.ts'

const minimal = { DATABASE_URL: 'postgres://me:hunter2@db/shop', KAFKA_BROKERS: 'a:9092, b:9093' }

function temporary(t: TestContext, name: string, content: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-options-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

test('no error shows a secret, neither in its message nor anywhere inside', t => {
  const secret = 'hunter2'
  const bad = [
    { DATABASE_URL: secret },
    { DATABASE_URL: `postgres://u:${secret}@[bad/x` },
    { DATABASE_URL: `mysql://u:${secret}@h/x` },
    { DATABASE_URL: `postgres://u:1/${secret}@h/x` },
    { DATABASE_URL: `postgres://u:%${secret}@h/x` },
    { DATABASE_URL_FILE: temporary(t, 'url', `u:${secret}@h`) },
    { ...minimal, KAFKA_SASL_PASSWORD: secret },
    { ...minimal, DATABASE_URLL: secret, SLUICE_PASSWORD: secret },
  ]
  for (const env of bad) {
    assert.throws(
      () => loadOptions({ KAFKA_BROKERS: 'a:1', ...env }),
      (error: unknown) => {
        const shown = describeError(error) + inspect(error, { depth: 9, showHidden: true })
        return error instanceof SluiceError && !shown.includes(secret)
      },
    )
  }
})

test('what is shown of the options holds no secret', t => {
  const key = temporary(t, 'key.pem', '-----BEGIN PRIVATE KEY-----\nhunter2\n')
  const env = {
    DATABASE_URL: 'postgres://me:hunter2@a:1,b:2/shop?password=hunter2',
    KAFKA_BROKERS: 'a:1',
    KAFKA_TLS: 'true',
    KAFKA_TLS_CERT_FILE: key,
    KAFKA_TLS_KEY_FILE: key,
    KAFKA_SASL_MECHANISM: 'plain',
    KAFKA_SASL_USERNAME: 'u',
    KAFKA_SASL_PASSWORD: 'hunter2',
  }
  const shown = describeOptions(loadOptions(env))
  assert.equal(shown.databaseUrl, 'postgres://me:***@a:1,b:2/shop')
  assert.doesNotMatch(JSON.stringify(shown), /hunter2/)
  assert.equal(describeOptions(loadOptions(minimal)).databaseUrl, 'postgres://me:***@db/shop')
})

test('the example file says what the table says, and loads with everything taken in', t => {
  const path = new URL('../../config/sluice.example.env', import.meta.url)
  assert.equal(readFileSync(path, 'utf8'), printExample())
  const all = printExample().replace(/^#(?=[A-Z_]+=)/gm, '')
  const copy = temporary(t, 'copy.env', all)
  assert.deepEqual(loadOptions({ ...minimal, SLUICE_CONFIG: copy }), loadOptions(minimal))
})

test('the page of settings holds the table as it is printed', () => {
  const page = readFileSync(new URL('../../docs/settings.md', import.meta.url), 'utf8')
  assert.ok(page.includes(printMarkdown()), 'docs/settings.md differs from options/table.ts')
})

test('help and the README’s table name every option once', () => {
  for (const { names } of Object.values(optionTable)) {
    assert.match(printHelp(), new RegExp(`^  ${names[0]}(,|$)`, 'm'))
    assert.match(printMarkdown(), new RegExp(`^\\| \`${names[0]}\``, 'm'))
  }
  assert.ok(
    printHelp()
      .split('\n')
      .every(line => line.length <= 100),
  )
})

test('what Kubernetes says of a service called sluice is no unknown option', () => {
  const links = {
    SLUICE_SERVICE_HOST: '10.0.0.1',
    SLUICE_SERVICE_PORT_HTTP: '8780',
    SLUICE_PORT: 'tcp://10.0.0.1:8780',
    SLUICE_METRICS_PORT_8780_TCP_ADDR: '10.0.0.1',
  }
  assert.doesNotThrow(() => loadOptions({ ...minimal, ...links }))
  assert.throws(() => loadOptions({ ...minimal, SLUICE_HTTP_PORT: '8780' }), /SLUICE_HTTP_PORT/)
})
