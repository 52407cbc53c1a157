import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InvalidArgumentError } from 'commander'
import { laneNames } from '../../../src/cli/lanes.ts'
import { eitherId, moment, shortText, topicName } from '../../../src/cli/operator-flags.ts'
import { eventsPerSecond } from '../../../src/cli/replay-flags.ts'
import { instantOf } from '../../../src/operator/moment.ts'

const NOW = '2026-03-01T12:00:00.123456Z'

function refuses(parse: (text: string) => unknown, ...texts: string[]): void {
  for (const text of texts) assert.throws(() => parse(text), InvalidArgumentError, text)
}

test('times are so long ago, or instants with a zone', () => {
  assert.equal(instantOf(moment('90s'), NOW), '2026-03-01T11:58:30.123Z')
  assert.equal(instantOf(moment('2h'), NOW), '2026-03-01T10:00:00.123Z')
  assert.equal(instantOf(moment('7d'), NOW), '2026-02-22T12:00:00.123Z')
  const instant = '2026-03-01T12:00+01:00'
  assert.equal(instantOf(moment(instant), NOW), instant)
  refuses(
    moment,
    '',
    '2',
    '2 h',
    '-2h',
    '2w',
    'yesterday',
    '2026-03-01',
    '2026-03-01T12:00',
    '2026-13-01T12:00Z',
  )
})

test('ids are outbox ids or event ids', () => {
  assert.equal(eitherId('0017'), '17')
  assert.equal(eitherId('9223372036854775807'), '9223372036854775807')
  const uuid = '0EA3CA83-5b85-4ac5-a4b4-d0e3a2c45f10'
  assert.equal(eitherId(uuid), uuid.toLowerCase())
  refuses(eitherId, '', '-1', '1.5', '1e3', '9223372036854775808', 'x', uuid.slice(1), '1,2', '{1}')
})

test('lanes are numbers and ranges, each once and in order', () => {
  assert.deepEqual(laneNames(['9', '3-5', '4']), ['3', '4', '5', '9'])
})

test('texts and topics are bounded', () => {
  assert.equal(shortText('bad deploy'), 'bad deploy')
  refuses(shortText, '', '  ', 'x'.repeat(501), 'a\0b')
  refuses(topicName, '', '__x', 'a b', 'a,b', 'x'.repeat(250))
})

test('rates are events per second', () => {
  assert.deepEqual(['1', '500/s', '100000/s'].map(eventsPerSecond), [1, 500, 100_000])
  refuses(eventsPerSecond, '0', '0.5', '1/m', '100001', '')
})
