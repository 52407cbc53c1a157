import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type HealthFacts, judgeHealth } from '../../../src/http/health.ts'

const healthy: HealthFacts = {
  started: true,
  stopping: false,
  loops: [{ name: 'slot 0', lastTurnAtMs: 99_000 }],
  lastReserveOkAtMs: 99_000,
  lastPublishOkAtMs: 99_000,
  oldestWaitingAgeSeconds: 0.1,
  breakersOpen: [],
  nowMs: 100_000,
  stalledAfterMs: 30_000,
}

function judge(facts: Partial<HealthFacts>) {
  const { live, ready, checks } = judgeHealth({ ...healthy, ...facts })
  return { live, ready, text: checks.map(check => check.text).join('; ') }
}

test('a relay that works is live and ready', () => {
  const { live, ready } = judge({})
  assert.deepEqual({ live, ready }, { live: true, ready: true })
})

test('a loop that stands still ends liveness, and nothing else does', () => {
  const loops = [...healthy.loops, { name: 'slot 1', lastTurnAtMs: 69_999 }]
  assert.equal(judge({ loops }).live, false)
  assert.equal(judge({ loops }).ready, false)
  const away = { lastReserveOkAtMs: null, lastPublishOkAtMs: null, breakersOpen: ['cluster'] }
  assert.equal(judge({ ...away, started: false }).live, true)
})

test('a relay that starts or stops is live but not ready', () => {
  for (const facts of [{ started: false }, { stopping: true }]) {
    const { live, ready } = judge(facts)
    assert.deepEqual({ live, ready }, { live: true, ready: false })
  }
})

test('without a reservation for a while it is not ready', () => {
  assert.equal(judge({ lastReserveOkAtMs: 69_999 }).ready, false)
  assert.equal(judge({ lastReserveOkAtMs: 70_000 }).ready, true)
  assert.equal(judge({ lastReserveOkAtMs: null }).ready, false)
})

test('events that wait while nothing is published make it not ready', () => {
  const stalled = { oldestWaitingAgeSeconds: 31, lastPublishOkAtMs: 60_000 }
  assert.equal(judge(stalled).ready, false)
  assert.equal(judge({ ...stalled, lastPublishOkAtMs: null }).ready, false)
  assert.equal(judge({ ...stalled, lastPublishOkAtMs: 80_000 }).ready, true)
  assert.equal(judge({ ...stalled, oldestWaitingAgeSeconds: 29 }).ready, true)
  assert.equal(judge({ ...stalled, oldestWaitingAgeSeconds: null }).ready, true)
})

test('an open breaker leaves it ready, and says that it is degraded', () => {
  const facts = { oldestWaitingAgeSeconds: 31, lastPublishOkAtMs: null, breakersOpen: ['cluster'] }
  assert.equal(judge(facts).ready, true)
  assert.match(judge(facts).text, /degraded: breaker open for cluster/)
})
