import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SluiceError } from '../../../src/errors.ts'
import { createLogger } from '../../../src/telemetry/logger.ts'

function setup(level = 'info') {
  const lines: string[] = []
  const log = createLogger(level, { write: line => lines.push(line) })
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? 'null') }
}

test('a line is JSON with the facts, the level by name, and a constant sentence', () => {
  const { log, last } = setup()
  log.info({ lane: 7 }, 'lanes leased')
  const { lane, level, msg, time } = last()
  assert.deepEqual({ lane, level, msg }, { lane: 7, level: 'info', msg: 'lanes leased' })
  assert.match(time, /^\d{4}-\d\d-\d\dT.*Z$/)
})

test('what is below the level is not written', () => {
  const { log, lines } = setup('warn')
  log.info({}, 'no')
  log.warn({}, 'yes')
  assert.equal(lines.length, 1)
})

test('secrets and payloads do not reach a line, wherever they stand', () => {
  const { log, lines } = setup()
  log.info({ password: 'hunter2', payload: 'hunter2', databaseUrl: 'hunter2' }, 'x')
  log.info({ options: { databaseUrl: 'hunter2', kafka: { sasl: { password: 'hunter2' } } } }, 'x')
  log.info({ event: { payload: 'hunter2', headersJson: 'hunter2' } }, 'x')
  log.warn({ err: new Error('postgres://me:hunter2@db:5432/x does not answer') }, 'x')
  assert.equal(lines.length, 4)
  assert.doesNotMatch(lines.join(), /hunter2/)
})

test('an error is told with its causes and its code; its stack only at debug', () => {
  const cause = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
  const error = new SluiceError('database', 'reserving failed', { cause, details: { lane: 3 } })
  const { log, last } = setup()
  log.error({ err: error }, 'x')
  assert.deepEqual(last().err, {
    message: 'reserving failed: connect (ECONNREFUSED)',
    code: 'database',
    lane: 3,
  })
  const debug = setup('debug')
  debug.log.error({ error }, 'x')
  assert.match(debug.last().error.stack, /logger\.test\.ts/)
})
