import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RelayEvent } from '../../../src/events.ts'
import type { Log } from '../../../src/telemetry/log.ts'
import { logRelayEvents } from '../../../src/telemetry/log-relay-events.ts'

function setup() {
  const lines: { level: string; facts: Record<string, unknown>; message: string }[] = []
  const at = (level: string) => (facts: object, message: string) => {
    lines.push({ level, facts: { ...facts }, message })
  }
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  let nowMs = 0
  const listener = logRelayEvents(log, () => nowMs)
  return {
    tell: (event: RelayEvent) => listener(event),
    pass: (durationMs: number) => {
      nowMs += durationMs
    },
    /** Lines above debug since the last call. */
    told: () =>
      lines
        .splice(0)
        .flatMap(({ level, message }) => (level === 'debug' ? [] : `${level} ${message}`)),
    lines,
  }
}

const reserveFailed: RelayEvent = { kind: 'reserve_failed', error: new Error('away') }
const reserved: RelayEvent = { kind: 'reserved', events: 1, durationMs: 1 }
const failed = (topic: string, fault: 'broker' | 'producer' = 'broker'): RelayEvent => ({
  kind: 'publish_failed',
  topic,
  code: 'timeout',
  message: 'no answer',
  events: 5,
  fault,
})
const published = (topic: string, acked: number): RelayEvent => ({
  kind: 'published',
  topic,
  acked,
  rejected: 0,
  unknown: 0,
  bytes: 10,
  latenciesSeconds: [0.1],
})

test('an outage is told at its start, once a minute, and at its end', () => {
  const { tell, pass, told, lines } = setup()
  for (let second = 0; second < 150; second++) {
    tell(reserveFailed)
    pass(1_000)
  }
  assert.deepEqual(told(), Array(3).fill('warn reserving fails'))
  tell(reserved)
  assert.deepEqual(lines[0]?.facts, { failures: 150, outageMs: 150_000 })
  assert.deepEqual(told(), ['info reserving works again'])
  tell(reserved)
  assert.deepEqual(told(), [])
  tell(reserveFailed)
  assert.deepEqual(told(), ['warn reserving fails'])
})

test('each topic has its own outage, which ends with its first acknowledgement', () => {
  const { tell, told } = setup()
  for (const topic of ['a', 'b', 'a', 'b']) tell(failed(topic))
  assert.equal(told().length, 2)
  tell(published('a', 0))
  tell(published('b', 1))
  assert.deepEqual(told(), ['info publishing works again'])
})

test('many topics at once do not make many outages', () => {
  const { tell, told } = setup()
  for (let topic = 0; topic < 1_000; topic++) tell(failed(`t${topic}`))
  assert.equal(told().length, 201)
})

test('our own credentials failing is an error, brokers failing a warning', () => {
  const { tell, told } = setup()
  tell(failed('a', 'producer'))
  tell(failed('b', 'broker'))
  assert.deepEqual(told(), ['error publishing fails', 'warn publishing fails'])
})

test('a breaker that is probed in vain is one outage', () => {
  const { tell, pass, told } = setup()
  const change = (state: 'open' | 'half_open' | 'closed') =>
    tell({ kind: 'breaker_changed', breaker: 'cluster', state, reason: 'away' })
  for (let probe = 0; probe < 30; probe++) {
    change('open')
    pass(1_000)
    change('half_open')
  }
  assert.deepEqual(told(), ['warn breaker open'])
  change('closed')
  assert.deepEqual(told(), ['info breaker closed'])
})

test('single events are for debug, dead letters are warned of', () => {
  const { tell, told, lines } = setup()
  const names = { topic: 'a', id: '7', eventId: 'e' }
  tell(published('a', 1_000))
  tell(reserved)
  tell({ kind: 'batch_published', events: 1, durationMs: 1 })
  tell({ kind: 'confirmed', events: 1, fenced: 0, durationMs: 1 })
  tell({ kind: 'retry_scheduled', ...names, attempt: 1, reason: 'r', retryDelayMs: 5 })
  assert.equal(lines.length, 5)
  assert.ok(lines.every(line => !('latenciesSeconds' in line.facts)))
  assert.deepEqual(told(), [])
  tell({ kind: 'dead_lettered', ...names, reason: 'expired', error: 'too late' })
  tell({ kind: 'confirmed', events: 1, fenced: 2, durationMs: 1 })
  assert.deepEqual(told(), [
    'warn event became a dead letter',
    'warn confirm refused for events of lost lanes',
  ])
})

test('lanes that are lost are warned of, other changes are information', () => {
  const { tell, told } = setup()
  tell({ kind: 'lanes_leased', lanes: [1, 2], holding: 2 })
  tell({ kind: 'lanes_given_up', lanes: [1], holding: 1, reason: 'handed_over' })
  tell({ kind: 'lanes_given_up', lanes: [2], holding: 0, reason: 'lost' })
  assert.deepEqual(told(), ['info lanes leased', 'info lanes given up', 'warn lanes lost'])
})

test('a confirm that fails is an outage too', () => {
  const { tell, told } = setup()
  tell({ kind: 'confirm_failed', error: new Error('away') })
  tell({ kind: 'confirm_failed', error: new Error('away') })
  tell({ kind: 'confirmed', events: 1, fenced: 0, durationMs: 1 })
  assert.deepEqual(told(), ['warn confirming fails', 'info confirming works again'])
})

test('lanes are told as ranges', () => {
  const { tell, lines } = setup()
  tell({ kind: 'lanes_leased', lanes: [3, 0, 1, 2, 7, 62, 63], holding: 7 })
  assert.equal(lines.at(-1)?.facts.lanes, '0-3,7,62-63')
})
