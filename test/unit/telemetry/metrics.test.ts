import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import type { RelayEvent } from '../../../src/events.ts'
import { createAdmissionMetrics } from '../../../src/telemetry/admission-metrics.ts'
import { createMetrics } from '../../../src/telemetry/metrics.ts'

function setup() {
  const metrics = createMetrics({ version: '1.2.3', kafkaClient: 'kafkajs' })
  /** The line of one series, without its name. */
  const value = async (series: string) => {
    const lines = (await metrics.registry.metrics()).split('\n')
    const line = lines.find(one => one.startsWith(`${series} `))
    return line === undefined ? null : Number(line.slice(series.length + 1))
  }
  return { ...metrics, tell: metrics.listener, value }
}

function published(topic: string, latenciesSeconds: number[], unknown = 0): RelayEvent {
  const acked = latenciesSeconds.length
  return { kind: 'published', topic, acked, rejected: 0, unknown, bytes: 10, latenciesSeconds }
}

test('acknowledged events, their bytes and latencies are counted by topic', async () => {
  const { tell, value } = setup()
  tell(published('a', [0.02, 3]))
  tell(published('a', [0.02]))
  tell(published('b', [], 5))
  assert.equal(await value('outbox_events_published_total{topic="a"}'), 3)
  assert.equal(await value('outbox_published_bytes_total{topic="a"}'), 20)
  assert.equal(await value('outbox_publish_latency_seconds_bucket{le="0.025",topic="a"}'), 2)
  assert.equal(await value('outbox_publish_latency_seconds_count{topic="a"}'), 3)
  assert.ok(Number(await value('outbox_last_publish_timestamp_seconds')) > 1e9)
})

test('topics beyond two hundred share one label', async () => {
  const { tell, value } = setup()
  for (let topic = 0; topic < 300; topic++) tell(published(`t${topic}`, [1]))
  assert.equal(await value('outbox_events_published_total{topic="t199"}'), 1)
  assert.equal(await value('outbox_events_published_total{topic="t200"}'), null)
  assert.equal(await value('outbox_events_published_total{topic="other"}'), 100)
})

test('failures, retries and dead letters are counted by topic and reason', async () => {
  const { tell, value } = setup()
  const names = { topic: 'a', id: '7', eventId: 'e' }
  const fault = 'broker' as const
  tell({ kind: 'publish_failed', topic: 'a', code: 'timeout', message: '', events: 5, fault })
  tell({ kind: 'retry_scheduled', ...names, attempt: 1, reason: 'r', retryDelayMs: 5 })
  tell({ kind: 'dead_lettered', ...names, reason: 'expired', error: '' })
  const series = 'topic="a",reason="timeout",fault="broker"'
  assert.equal(await value(`outbox_publish_failures_total{${series}}`), 5)
  assert.equal(await value('outbox_events_retried_total{topic="a",reason="r"}'), 1)
  assert.equal(await value('outbox_events_dead_lettered_total{topic="a",reason="expired"}'), 1)
})

test('rounds of reserving tell whether the database is up', async () => {
  const { tell, value } = setup()
  assert.equal(await value('outbox_db_up'), 0)
  tell({ kind: 'reserved', events: 0, durationMs: 5 })
  assert.equal(await value('outbox_db_up'), 1)
  tell({ kind: 'reserved', events: 3, durationMs: 5 })
  tell({ kind: 'reserve_failed', error: null })
  assert.equal(await value('outbox_db_up'), 0)
  for (const result of ['rows', 'empty', 'error']) {
    assert.equal(await value(`outbox_polls_total{result="${result}"}`), 1)
  }
  assert.equal(await value('outbox_reserve_duration_seconds_sum'), 0.01)
})

test('batches and confirms are measured, stale writes and failed confirms counted', async () => {
  const { tell, value } = setup()
  tell({ kind: 'batch_published', events: 70, durationMs: 20 })
  tell({ kind: 'confirmed', events: 60, fenced: 10, durationMs: 30 })
  tell({ kind: 'confirm_failed', error: null })
  assert.equal(await value('outbox_batch_events_sum'), 70)
  assert.equal(await value('outbox_publish_duration_seconds_sum'), 0.02)
  assert.equal(await value('outbox_confirm_duration_seconds_sum'), 0.03)
  assert.equal(await value('outbox_fenced_writes_total'), 10)
  assert.equal(await value('outbox_confirm_failures_total'), 1)
})

test('lanes are counted as they come and go', async () => {
  const { tell, value } = setup()
  tell({ kind: 'lanes_leased', lanes: [1, 2, 3], holding: 3 })
  tell({ kind: 'lanes_given_up', lanes: [1], holding: 2, reason: 'handed_over' })
  tell({ kind: 'lanes_given_up', lanes: [2], holding: 1, reason: 'lost' })
  assert.equal(await value('outbox_lanes_owned'), 1)
  assert.equal(await value('outbox_lease_acquisitions_total'), 3)
  assert.equal(await value('outbox_leases_lost_total'), 1)
})

test('a breaker is in exactly one state, and the cluster’s tells whether Kafka is up', async () => {
  const { tell, value } = setup()
  assert.equal(await value('outbox_kafka_up'), 1)
  for (const state of ['open', 'half_open'] as const) {
    tell({ kind: 'breaker_changed', breaker: 'cluster', state, reason: '' })
  }
  assert.equal(await value('outbox_kafka_up'), 0)
  const states = ['closed', 'open', 'half_open']
  const values = states.map(one => value(`outbox_breaker_state{breaker="cluster",state="${one}"}`))
  assert.deepEqual(await Promise.all(values), [0, 0, 1])
  assert.equal(await value('outbox_breaker_transitions_total{breaker="cluster",to="open"}'), 1)
  tell({ kind: 'breaker_changed', breaker: 'cluster', state: 'closed', reason: '' })
  assert.equal(await value('outbox_kafka_up'), 1)
})

test('the backlog is shown as it was last seen', async () => {
  const { observeBacklog, value } = setup()
  observeBacklog({ waiting: 12, oldestDueAgeSeconds: 3.5, deadLetters: 2 })
  assert.equal(await value('outbox_pending_events'), 12)
  assert.equal(await value('outbox_oldest_pending_age_seconds'), 3.5)
  assert.equal(await value('outbox_dead_letters'), 2)
  observeBacklog({ waiting: 0, oldestDueAgeSeconds: null, deadLetters: 2 })
  assert.equal(await value('outbox_oldest_pending_age_seconds'), 0)
})

test('a registry of the application’s is added to', async () => {
  const registry = new Registry()
  createMetrics({ version: '1.2.3', kafkaClient: 'kafkajs', registry })
  const names = registry.getMetricsAsArray().map(metric => metric.name)
  assert.ok(names.includes('outbox_build_info'))
  assert.ok(names.includes('nodejs_eventloop_lag_seconds'))
})

test('every metric that an alert rule names exists', async () => {
  const path = new URL('../../../config/prometheus-rules.yaml', import.meta.url)
  const named = new Set(readFileSync(path, 'utf8').match(/\b(outbox|admission)_\w+/g))
  const { registry } = setup()
  createAdmissionMetrics(registry, { rooms: async () => [] })
  for (const name of named) assert.ok(registry.getSingleMetric(name), name)
  assert.ok(named.size >= 10)
})
