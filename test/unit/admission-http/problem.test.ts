import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { PROBLEMS, Problem } from '../../../src/admission/http/problem.ts'
import { problemOf } from '../../../src/admission/http/problem-of.ts'
import { pollAfterSeconds } from '../../../src/admission/http/session-view.ts'
import { TooBusy } from '../../../src/admission/too-busy.ts'
import { SluiceError } from '../../../src/errors.ts'

const page = readFileSync(new URL('../../../docs/admission-api.md', import.meta.url), 'utf8')

test('the page has one row for each kind of problem, with its status', () => {
  const rows = [...page.matchAll(/^\| `\/problems\/([\w-]+)` \| (\d+) \| [^|]+ \|/gm)]
  assert.deepEqual(
    rows.map(([, kind, status]) => ({ kind, status: Number(status) })),
    Object.entries(PROBLEMS).map(([kind, { status }]) => ({ kind, status })),
  )
})

test('a problem is what RFC 9457 has, with a new instance each time', () => {
  const problem = new Problem('bad-input', 'why', { errors: [{ field: 'a', mustBe: 'b' }] })
  const { instance, ...rest } = JSON.parse(JSON.stringify(problem))
  assert.deepEqual(rest, {
    type: '/problems/bad-input',
    title: PROBLEMS['bad-input'].title,
    status: 400,
    detail: 'why',
    errors: [{ field: 'a', mustBe: 'b' }],
  })
  assert.notEqual(instance, new Problem('bad-input', 'why').instance)
})

test('what the desk rejects with becomes what the client may do about it', () => {
  const cases = [
    [new TooBusy('many', 1_500), 'busy', '2'],
    [new TooBusy('many', 0), 'busy', '1'],
    [new SluiceError('database', 'hunter2', { retryable: true }), 'database-away', '2'],
    [new SluiceError('lifecycle', 'hunter2'), 'stopping', '2'],
    [new SluiceError('options', 'hunter2'), 'internal', undefined],
    [new TypeError('hunter2'), 'internal', undefined],
    ['hunter2', 'internal', undefined],
    [undefined, 'internal', undefined],
  ] as const
  for (const [error, kind, retryAfter] of cases) {
    const problem = problemOf(error)
    assert.deepEqual([problem.kind, problem.headers['retry-after']], [kind, retryAfter])
    assert.equal(JSON.stringify(problem).includes('hunter2'), false)
  }
})

test('the further behind, the later one may ask again, from 1 to 30 seconds', () => {
  const cases = [
    [null, 1],
    [1, 1],
    [100, 1],
    [101, 2],
    [2_950, 30],
    [1_000_000, 30],
  ] as const
  for (const [position, seconds] of cases) assert.equal(pollAfterSeconds(position), seconds)
})
