import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verdictLines } from '../../../src/demo/report.ts'

const verdict = {
  committed: 12_345,
  published: 12_345,
  lost: 0,
  duplicates: 0,
  phantom: 0,
  outOfOrder: 0,
  mutated: 0,
}
const notes = { rolledBack: 1_200, rolledBackInKafka: 0, deadLetters: 0, waiting: 0 }

test('a clean verdict ends with PASS and its figures stand in one column', () => {
  const lines = verdictLines(verdict, notes)
  assert.match(lines.at(-1) ?? '', /^PASS: .*once/)
  const ends = lines.slice(0, -1).map(line => /^ {2}[a-z ]+? +[\d,]+(?= |$)/.exec(line)?.[0].length)
  assert.equal(new Set(ends).size, 1, lines.join('\n'))
})

test('duplicates pass, and the sentence says so', () => {
  assert.match(
    verdictLines({ ...verdict, duplicates: 2 }, notes).at(-1) ?? '',
    /^PASS: .*at least once/,
  )
})

test('each fault ends with FAIL and its number', () => {
  const faults = {
    lost: /1 lost/,
    phantom: /1 phantom/,
    outOfOrder: /1 out of order/,
    mutated: /1 altered/,
  }
  for (const [name, message] of Object.entries(faults)) {
    const last = verdictLines({ ...verdict, [name]: 1 }, notes).at(-1) ?? ''
    assert.match(last, /^FAIL: /)
    assert.match(last, message)
  }
})

test('lost events that are known to be elsewhere are said to be there', () => {
  const lines = verdictLines({ ...verdict, lost: 7 }, { ...notes, waiting: 4, deadLetters: 3 })
  const lost = lines.find(line => line.includes('lost')) ?? ''
  assert.match(lost, /4 still wait in outbox\.events, 3 are in outbox\.dead_letters/)
})

test('phantoms that are known to have been rolled back are said to be', () => {
  const lines = verdictLines({ ...verdict, phantom: 3 }, { ...notes, rolledBackInKafka: 2 })
  assert.match(lines.join('\n'), /phantom +3 +1,200 events were rolled back, 2 of them published/)
})
