import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StatusFacts } from '../../../src/cli/status-facts.ts'
import { printStatus } from '../../../src/cli/status-table.ts'

const idle: StatusFacts = {
  waiting: { events: 0, capped: false, oldest_due_age_seconds: null },
  retrying: { events: 0, capped: false, keys: 0, next_try_in_seconds: null },
  dead_letters: { events: 0, capped: false, by_reason: [] },
  lanes: { owned: 0, free: 64 },
  replicas: [],
  breakers: [],
  pauses: [],
  published_last_minute: null,
}

test('an idle outbox without replicas says so', () => {
  const text = printStatus(idle)
  assert.match(text, /^waiting {7}0$/m)
  assert.match(text, /^published {5}no history$/m)
  assert.match(text, /^breakers {6}all closed$/m)
  assert.match(text, /No replica/)
})

test('numbers are readable, caps are shown, columns line up', () => {
  const text = printStatus({
    ...idle,
    waiting: { events: 10_000, capped: true, oldest_due_age_seconds: 250 },
    retrying: { events: 1_200, capped: false, keys: 3, next_try_in_seconds: -1 },
    dead_letters: { events: 5, capped: false, by_reason: [{ reason: 'expired', events: 5 }] },
    lanes: { owned: 40, free: 24 },
    replicas: [
      {
        replica: 'a-long-name',
        version: '1',
        host: 'h',
        alive: true,
        up_seconds: 3_700,
        lanes: 40,
        lease_left_seconds: 12,
      },
      {
        replica: 'b',
        version: null,
        host: null,
        alive: false,
        up_seconds: null,
        lanes: 0,
        lease_left_seconds: null,
      },
    ],
    published_last_minute: { events: 7, capped: false },
  })
  assert.match(text, /^waiting {7}10,000\+, oldest due for 4 min 10 s$/m)
  assert.match(text, /^retrying {6}1,200 of 3 keys, next try now$/m)
  assert.match(text, /^dead letters {2}5: 5 expired$/m)
  assert.match(text, /^replicas {6}1 alive$/m)
  const rows = text.split('\n').filter(line => /^(REPLICA|a-long|b )/.test(line))
  assert.deepEqual(
    rows.map(row => row.search(/STATE|alive|gone/)),
    [13, 13, 13],
  )
})

test('what could not be counted in time is called not known', () => {
  assert.match(printStatus({ ...idle, waiting: null }), /^waiting {7}not known/m)
})

test('control characters of a reason do not reach the terminal', () => {
  const breaker = { breaker: 'topic:a', state: 'half_open', since_seconds: 1, replica: 'r' }
  const text = printStatus({ ...idle, breakers: [{ ...breaker, reason: 'x\u001b[31m\ny\u009b' }] })
  assert.match(text, /half open/)
  assert.doesNotMatch(text, /(?!\n)\p{Cc}/u)
})

test('what is paused is shown with who did it and why', () => {
  const pause = { paused_by: 'kim@ops', paused_for_seconds: 61 }
  const text = printStatus({
    ...idle,
    pauses: [
      { kind: 'topic', name: 'orders', reason: 'bad\u001b[2J deploy', ...pause },
      { kind: 'lane', name: '7', reason: 'test', ...pause },
    ],
  })
  assert.match(text, /^pauses {8}1 lane and 1 topic$/m)
  assert.match(text, /^topic {3}orders {2}1 min 1 s {2}kim@ops {2}bad \[2J deploy$/m)
})
