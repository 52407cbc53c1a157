import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { SluiceError } from '../../src/errors.ts'
import { describeOptions, loadOptions } from '../../src/options.ts'

const minimal = { DATABASE_URL: 'postgres://me@db/shop', KAFKA_BROKERS: 'a:9092' }
const SECRET = 'a secret of tests with more than 32 characters'

function faultOf(env: Record<string, string>): string {
  try {
    loadOptions({ ...minimal, ...env })
  } catch (error) {
    assert.ok(error instanceof SluiceError && error.code === 'options')
    return error.message
  }
  return 'none'
}

test('without a word, rooms of a hundred places are made by joining, at localhost:8080', () => {
  assert.deepEqual(loadOptions(minimal).admission, {
    http: { host: '127.0.0.1', port: 8080, exact: true },
    capacity: 100,
    keys: null,
    adminToken: null,
    joinsPerSecond: 10,
    proxies: 0,
    joinsTopic: 'waiting-room-joins',
    group: 'waiting-room-granter',
    changesTopic: 'waiting-room-changes',
    retentionMs: 86_400_000,
  })
})

test('what can be turned off is turned off', () => {
  const { admission } = loadOptions({
    ...minimal,
    SLUICE_ADMISSION_HTTP: 'off',
    SLUICE_ADMISSION_CAPACITY: 'off',
    SLUICE_ADMISSION_JOINS_PER_SECOND: 'OFF',
    SLUICE_ADMISSION_CHANGES_TOPIC: 'off',
  })
  const { http, capacity, joinsPerSecond, changesTopic } = admission
  assert.deepEqual([http, capacity, joinsPerSecond, changesTopic], [null, null, null, null])
})

test('several secrets are told apart by commas; a short one is refused and never shown', () => {
  const { admission } = loadOptions({
    ...minimal,
    SLUICE_ADMISSION_SECRET: `${SECRET}, ${SECRET}2`,
  })
  assert.deepEqual(admission.keys, [SECRET, `${SECRET}2`])
  const fault = faultOf({ SLUICE_ADMISSION_SECRET: `${SECRET},hunter2` })
  assert.match(fault, /SLUICE_ADMISSION_SECRET must be at least 32 characters/)
  assert.doesNotMatch(fault, /hunter2/)
  assert.match(faultOf({ SLUICE_ADMISSION_ADMIN_TOKEN: 'hunter2' }), /at least 16 characters/)
})

test('what is shown of the options holds no secret', () => {
  const env = { ...minimal, SLUICE_ADMISSION_SECRET: SECRET, SLUICE_ADMISSION_ADMIN_TOKEN: SECRET }
  const shown = inspect(describeOptions(loadOptions(env)), { depth: 10 })
  assert.doesNotMatch(shown, /a secret of tests/)
})

test('bounds name the setting, its shape and the way out', () => {
  assert.match(
    faultOf({ SLUICE_ADMISSION_CAPACITY: '-1' }),
    /SLUICE_ADMISSION_CAPACITY must be an integer from 0 to 1000000, without a unit, or off/,
  )
  assert.match(faultOf({ SLUICE_ADMISSION_JOINS_PER_SECOND: '0' }), /from 1 to 100000/)
  assert.match(faultOf({ SLUICE_ADMISSION_CHANGES_TOPIC: 'a b' }), /a topic's name/)
})
