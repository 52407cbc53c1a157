import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeError, SluiceError } from '../../src/errors.ts'

test('an error is described with its causes in one line, each once, with the code that the system gave', () => {
  const root = Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' })
  const error = new SluiceError('database', 'reading events failed', { cause: root })
  assert.equal(describeError(error), 'reading events failed: connection refused (ECONNREFUSED)')
  assert.equal(describeError(new Error('same', { cause: new Error('same') })), 'same')
})

test('whatever is thrown can be described, also what cannot be made a text', () => {
  assert.equal(describeError('a text'), 'a text')
  assert.equal(describeError({ toString: [] }), '[object Object]')
  assert.equal(describeError(Object.create(null)), '[object Object]')
  assert.equal(describeError(Symbol('s')), 'Symbol(s)')
  assert.equal(describeError(undefined), '')
})
