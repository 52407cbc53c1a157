import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadPageAssets } from '../../../src/admission/page/page-assets.ts'

const { words } = await loadPageAssets()
const MINUTE = 60
const HOUR = 3_600

test('a wait is told as people tell it', () => {
  const told: [number | null, string][] = [
    [null, 'not known yet'],
    [0, 'less than a minute'],
    [59, 'less than a minute'],
    [60, 'about a minute'],
    [4 * MINUTE + 20, 'about 4 minutes'],
    [23 * MINUTE, 'about 25 minutes'],
    [55 * MINUTE, 'about 55 minutes'],
    [58 * MINUTE, 'about an hour'],
    [2 * HOUR, 'about 2 hours'],
    [90 * HOUR, 'more than a day'],
  ]
  for (const [seconds, text] of told) assert.equal(words.waitInWords(seconds), text, `${seconds} s`)
})

test('a longer wait is never told as a shorter one', () => {
  const texts = Array.from({ length: 2 * 24 * 60 }, (_, minute) =>
    words.spanInWords(minute * MINUTE),
  )
  const changes = texts.filter((text, index) => text !== texts[index - 1])
  assert.equal(new Set(changes).size, changes.length, 'a wording came back')
})

test('places are grouped, and one who is first is told so', () => {
  assert.equal(words.placeInWords(100_000), '100,000')
  assert.equal(words.placeInWords(null), '…')
  assert.equal(words.aheadInWords(0), 'You are next')
  assert.equal(words.aheadInWords(1), '1 person ahead')
  assert.equal(words.aheadInWords(1_283), '1,283 people ahead')
})

test('a tab shows the place while it waits, and afterwards what became of it', () => {
  assert.equal(words.titleInWords('WAITING', 12, 'You are in line'), '12 in line')
  assert.equal(words.titleInWords('WAITING', null, 'You are in line'), 'You are in line')
  assert.equal(words.titleInWords('ACTIVE', null, 'It is your turn'), 'It is your turn')
})
