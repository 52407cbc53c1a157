import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RelayEvent } from '../../../src/events.ts'
import { withDeadline } from '../../../src/internal/deadline.ts'
import type { Reservation } from '../../../src/outbox/adapter.ts'
import type { Outcome } from '../../../src/relay/producer.ts'
import { Settling } from '../../../src/relay/settling.ts'
import type { Attempt } from '../../../src/relay/slot.ts'
import { InMemoryAdapter } from '../../support/in-memory-adapter.ts'
import { InMemoryOutbox } from '../../support/in-memory-outbox.ts'
import { until } from '../../support/until.ts'

const acked: Outcome = { kind: 'acked', partition: 3, offset: '17' }
const rejected: Outcome = { kind: 'rejected', code: 'bad', message: 'not so', permanent: false }
const hopeless: Outcome = { ...rejected, code: 'too_large', permanent: true }
const unknown: Outcome = {
  kind: 'unknown',
  code: 'timeout',
  message: 'no answer',
  fault: 'broker',
  scope: 'cluster',
}

const policy = { attemptsMax: 3, retryBaseMs: 1_000, retryMaxMs: 1_000, blockingTopics: [] }

/** As many reserved events as outcomes, each of a key of its own. */
async function setup(outcomes: readonly Outcome[]) {
  const outbox = new InMemoryOutbox()
  const adapter = new InMemoryAdapter(outbox)
  const told: RelayEvent[] = []
  const abandon = new AbortController()
  const drain = new AbortController()
  const emit = (event: RelayEvent) => void told.push(event)
  const settling = new Settling({ adapter, policy, emit, abandon: abandon.signal })
  outbox.write(outcomes.map((_, n) => ({ key: `k${n}` })))
  const reserved = await adapter.reserveNewEvents(100, 60_000, {
    exceptTopics: [],
    bytesMax: 1_000_000,
  })
  assert.ok(reserved)
  const byKey = new Map(reserved.events.map(event => [event.key, event]))
  const attempts: Attempt[] = outcomes.map((outcome, n) => ({
    event: byKey.get(`k${n}`)!,
    outcome,
  }))
  let turns = 0
  const settle = (reservation: Reservation = reserved) => {
    const settled = settling.settle(reservation, attempts, drain.signal, () => void turns++)
    return withDeadline(settled, 10_000, () => new Error('it was not settled'))
  }
  const ofKind = (kind: RelayEvent['kind']) => told.filter(event => event.kind === kind)
  return { outbox, adapter, told, ofKind, abandon, drain, attempts, settle, turns: () => turns }
}

test('acknowledged events are confirmed with the place at which they lie', async () => {
  const { outbox, attempts, settle, ofKind } = await setup([acked, acked])
  await settle()
  assert.deepEqual(
    outbox.published.map(({ event, partition, offset }) => [event.id, partition, offset]),
    attempts.map(({ event }) => [event.id, 3, '17']),
  )
  const [confirmed] = ofKind('confirmed')
  assert.ok(confirmed?.kind === 'confirmed')
  assert.deepEqual([confirmed.events, confirmed.fenced], [2, 0])
})

test('a refused event is tried again later, or dead; either is told once it is recorded', async () => {
  const { outbox, attempts, settle, ofKind } = await setup([rejected, hopeless])
  await settle()
  assert.deepEqual(
    outbox.rows.map(({ event, attempts: spent }) => [event.key, spent]),
    [['k0', 1]],
  )
  assert.deepEqual(
    outbox.deadLetters.map(({ event, reason }) => [event.key, reason]),
    [['k1', 'too_large']],
  )
  const [retry] = ofKind('retry_scheduled')
  assert.ok(retry?.kind === 'retry_scheduled')
  assert.deepEqual([retry.id, retry.attempt, retry.reason], [attempts[0]?.event.id, 1, 'bad'])
  const [dead] = ofKind('dead_lettered')
  assert.ok(dead?.kind === 'dead_lettered')
  assert.deepEqual(
    [dead.id, dead.reason, dead.error],
    [attempts[1]?.event.id, 'too_large', 'not so'],
  )
})

test('an unknown outcome records nothing: the event waits as before', async () => {
  const { outbox, settle, drain, told } = await setup([unknown, unknown])
  drain.abort()
  await settle()
  assert.deepEqual(
    outbox.rows.map(({ attempts }) => attempts),
    [0, 0],
  )
  assert.deepEqual(told, [])
})

test('a pause follows what could not be published, and a stop ends it', async () => {
  const { settle, drain } = await setup([unknown])
  let settled = false
  const settling = settle().then(() => {
    settled = true
  })
  await new Promise(setImmediate)
  assert.equal(settled, false)
  drain.abort()
  await settling
})

test('without an unknown outcome there is no pause', async () => {
  const { settle, drain } = await setup([acked, rejected])
  const timers = () => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const before = timers()
  const settling = settle()
  await new Promise(setImmediate)
  // But for the deadline of the test itself, which ends with it.
  assert.ok(timers() <= before)
  await settling
  assert.equal(drain.signal.aborted, false)
})

test('recording is repeated until the database has answered, a sign of life each time', async () => {
  const { adapter, outbox, settle, ofKind, turns } = await setup([acked, hopeless])
  adapter.failures = 3
  await settle()
  assert.equal(ofKind('confirm_failed').length, 3)
  assert.equal(turns(), 5)
  assert.deepEqual([outbox.published.length, outbox.deadLetters.length], [1, 1])
  assert.equal(outbox.rows.length, 0)
})

test('refusals are recorded as well when the confirmation before them had to be repeated', async () => {
  const { adapter, outbox, settle } = await setup([acked, rejected])
  adapter.failures = 1
  await settle()
  assert.deepEqual(
    outbox.rows.map(({ event, attempts }) => [event.key, attempts]),
    [['k1', 1]],
  )
})

test('when the grace is over the repeating ends, and what was not recorded stays', async () => {
  const { adapter, outbox, settle, ofKind, abandon } = await setup([acked, hopeless])
  adapter.failures = Number.POSITIVE_INFINITY
  const settling = settle()
  await until(() => ofKind('confirm_failed').length > 0, { deadlineMs: 5_000, what: 'it failed' })
  abandon.abort()
  await settling.finally(() => {
    adapter.failures = 0
  })
  assert.equal(outbox.rows.length, 2)
  assert.deepEqual(ofKind('dead_lettered'), [])
})

test('an answer that the lanes are another replica’s ends it too, and tells of no retry or death', async () => {
  const { outbox, settle, ofKind } = await setup([acked, rejected, hopeless])
  for (const lane of outbox.lanes.keys()) outbox.take(lane, 'another replica')
  await settle()
  assert.equal(outbox.rows.length, 3)
  const fenced = ofKind('confirmed').map(event => event.kind === 'confirmed' && event.fenced)
  assert.deepEqual(fenced, [1, 2])
  assert.deepEqual([ofKind('retry_scheduled'), ofKind('dead_lettered')], [[], []])
})
