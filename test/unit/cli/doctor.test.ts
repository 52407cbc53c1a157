import assert from 'node:assert/strict'
import { test } from 'node:test'
import { printFindings } from '../../../src/cli/doctor.ts'
import { attempt, fail, ok, roughly, warn } from '../../../src/operator/doctor/finding.ts'

test('findings line up, with the cure below and a verdict at the end', () => {
  const text = printFindings([
    ok('schema', 'up to date'),
    warn('dead letters', '3', 'sluice dead list'),
    fail('lanes', 'no relay\u001b[2J', 'start one'),
  ])
  assert.equal(
    text,
    [
      'OK    schema        up to date',
      'warn  dead letters  3',
      '                    → sluice dead list',
      'FAIL  lanes         no relay [2J',
      '                    → start one',
      '',
      '1 failure, 1 warning\n',
    ].join('\n'),
  )
  assert.match(printFindings([ok('a', 'b')]), /\nall is well\n$/)
})

test('a check that cannot be made warns and says why', async () => {
  const [finding] = await attempt('clock', async () => {
    throw new Error('permission denied')
  })
  assert.deepEqual(
    [finding?.level, finding?.found],
    ['warn', 'could not be looked at: permission denied'],
  )
})

test('times are told roughly', () => {
  assert.deepEqual([3.21, 250, 9_000, 200_000].map(roughly), ['3.2 s', '4 min', '2.5 h', '2 d'])
})
