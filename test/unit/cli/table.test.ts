import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  align,
  counted,
  cut,
  duration,
  jsonText,
  plain,
  plainLines,
} from '../../../src/cli/table.ts'

const EVIL = 'a\u001b[31m\u0007\u009b2J\u007f\u2028\u202eb\r'

test('nothing that a terminal would obey is left in a text', () => {
  assert.equal(plain(`${EVIL}\nc`), 'a [31m  2J   b  c')
  assert.equal(plainLines('a\n\tb\u001bc\r'), 'a\n\tb c ')
  assert.equal(plain('ключ é😀 שלום'), 'ключ é😀 שלום')
})

test('JSON keeps every character, and writes those that a terminal would obey as escapes', () => {
  const text = jsonText({ key: EVIL })
  assert.doesNotMatch(text, /(?!\n)\p{Cc}|[\u2028\u202e]/u)
  assert.deepEqual(JSON.parse(text), { key: EVIL })
})

test('columns line up by their widest cell', () => {
  assert.equal(
    align([
      ['A', 'B', 'C'],
      ['1', 'long\n', ''],
    ]),
    'A  B      C\n1  long',
  )
})

test('a text that is cut says so and keeps whole characters', () => {
  assert.equal(cut('abc', 3), 'abc')
  assert.equal(cut('abcd', 3), 'ab…')
  assert.equal(cut('a😀bc', 3), 'a…')
})

test('things are counted in words', () => {
  assert.deepEqual([counted(1, 'event'), counted(2_500, 'event')], ['1 event', '2,500 events'])
})

test('durations have at most two units', () => {
  const texts = [0, 3.21, 59.9, 60, 250, 3_600, 3_700, 90_000, 183_600].map(duration)
  assert.deepEqual(texts, [
    '0.0 s',
    '3.2 s',
    '59.9 s',
    '1 min',
    '4 min 10 s',
    '1 h',
    '1 h 1 min',
    '1 d 1 h',
    '2 d 3 h',
  ])
})
