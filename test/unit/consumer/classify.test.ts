import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isRerun, outcomeOf, reasonOf } from '../../../src/consumer/classify.ts'
import { CommitInDoubt } from '../../../src/consumer/delivery-store.ts'
import { NotDone } from '../../../src/consumer/message-handling.ts'
import { BadMessage, DependencyDown, RetryAt } from '../../../src/consumer/outcome.ts'
import { SluiceError } from '../../../src/errors.ts'

const coded = (code: string, cause?: unknown) =>
  Object.assign(new Error('it failed', { cause }), { code })
const POSTGRES = { kind: 'down', dependency: 'postgres' }
const at = new Date('2030-01-01')

const KNOWN: [string, unknown, object][] = [
  ['NotDone', new NotDone({ kind: 'hold', reason: 'x' }), { kind: 'hold', reason: 'x' }],
  ['BadMessage', new BadMessage('no total'), { kind: 'bad', reason: 'BadMessage: no total' }],
  ['RetryAt', new RetryAt(at, 'later'), { kind: 'retry', at, reason: 'RetryAt: later' }],
  ['DependencyDown', new DependencyDown('mail'), { kind: 'down', dependency: 'mail' }],
  ['a BadMessage inside', new Error('x', { cause: new BadMessage('y') }), { kind: 'bad' }],
  ['a commit in doubt', new CommitInDoubt('?'), POSTGRES],
  ['a database error', new SluiceError('database', 'unreachable'), POSTGRES],
  ['a connection that was lost', coded('CONNECTION_CLOSED'), POSTGRES],
  ['a connection exception', coded('08006'), POSTGRES],
  ['a shutdown', coded('57P01'), POSTGRES],
  ['a standby', coded('25006'), POSTGRES],
  ['one of them inside', new Error('x', { cause: coded('57P01') }), POSTGRES],
  [
    'a database error that refuses a value',
    new SluiceError('database', 'refused', { cause: coded('22021') }),
    { kind: 'retry' },
  ],
  ['a refused connection of unknown origin', coded('ECONNREFUSED'), { kind: 'retry' }],
  ['a name that is not found', coded('ENOTFOUND'), { kind: 'retry' }],
  ['a broken constraint', coded('23505'), { kind: 'retry' }],
  [
    'a TypeError',
    new TypeError('x is no function'),
    { kind: 'retry', reason: 'TypeError: x is no function' },
  ],
  ['a text', 'oops', { kind: 'retry', reason: 'oops' }],
  ['undefined', undefined, { kind: 'retry', reason: '' }],
]

for (const [name, error, expected] of KNOWN) {
  test(`${name} becomes ${JSON.stringify(expected)}`, () => {
    assert.deepEqual({ ...outcomeOf(error), ...expected }, outcomeOf(error))
  })
}

test('the classifier of the user comes before the defaults', () => {
  const bad = outcomeOf(new TypeError('x'), () => ({ kind: 'bad', reason: 'mine' }))
  assert.deepEqual(bad, { kind: 'bad', reason: 'mine' })
  assert.equal(outcomeOf(new TypeError('x'), () => undefined).kind, 'retry')
})

test('an outage of the database makes no dead letters, whatever the classifier says', () => {
  const all = () => ({ kind: 'bad', reason: 'mine' }) as const
  assert.equal(outcomeOf(new SluiceError('database', 'gone'), all).kind, 'down')
  assert.equal(outcomeOf(new CommitInDoubt('?'), all).kind, 'down')
})

test('a classifier that throws has no opinion, and done means that nobody wants it', () => {
  const thrown = outcomeOf(new BadMessage('x'), () => {
    throw new Error('mine')
  })
  assert.equal(thrown.kind, 'bad')
  assert.deepEqual(
    outcomeOf(new Error('x'), () => ({ kind: 'done' })),
    { kind: 'drop', why: 'ignored' },
  )
})

test('a time that is none leaves the backoff to decide', () => {
  assert.deepEqual(outcomeOf(new RetryAt(new Date('soon'), 'x')), {
    kind: 'retry',
    reason: 'RetryAt: x',
  })
})

test('reasons have at most 500 characters, and no NUL', () => {
  assert.equal(reasonOf(new Error('x'.repeat(2_000))).length, 500)
  assert.equal(reasonOf(new Error('a\0b')), 'Error: ab')
})

test('what JSON.parse quotes of a payload is left out of the reason', () => {
  const reasons = ['{"pin":1234', 'secret', "{'pin': 99}"].map(text => {
    try {
      return JSON.parse(text)
    } catch (error) {
      return reasonOf(error)
    }
  })
  for (const reason of reasons) {
    assert.match(reason, /^SyntaxError: /)
    assert.doesNotMatch(reason, /pin|1234|secret|99/)
  }
})

test('serialization failures and deadlocks are run again, also when they are wrapped', () => {
  assert.equal(isRerun(coded('40001')), true)
  assert.equal(isRerun(new Error('x', { cause: coded('40P01') })), true)
  assert.equal(isRerun(coded('23505')), false)
  assert.equal(isRerun(new NotDone({ kind: 'retry', reason: 'x' }, coded('40001'))), false)
})
