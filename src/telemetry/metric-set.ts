import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

export type MetricSet = ReturnType<typeof defineMetrics>

const LATENCY_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const BATCH_BUCKETS = [1, 5, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000]

/**
 * All metrics of the relay. Those about the whole table (pending, oldest pending, dead letters) are the
 * same from each replica: use `max by ()`, never `sum`.
 *
 * @throws Error when the registry already has one of the names
 */
export function defineMetrics(registry: Registry) {
  return { ...publishMetrics(registry), ...databaseMetrics(registry), ...stateMetrics(registry) }
}

function publishMetrics(registry: Registry) {
  return {
    published: counter(
      registry,
      'outbox_events_published_total',
      'Events that Kafka acknowledged',
      ['topic'],
    ),
    publishedBytes: counter(registry, 'outbox_published_bytes_total', 'Their payload bytes', [
      'topic',
    ]),
    publishFailures: counter(
      registry,
      'outbox_publish_failures_total',
      'Events not acknowledged through no fault of theirs; they are tried again',
      ['topic', 'reason', 'fault'],
    ),
    retried: counter(
      registry,
      'outbox_events_retried_total',
      'Failures through an event’s own fault, with another try to come',
      ['topic', 'reason'],
    ),
    deadLettered: counter(
      registry,
      'outbox_events_dead_lettered_total',
      'Events that became dead letters',
      ['topic', 'reason'],
    ),
    publishLatency: histogram(
      registry,
      'outbox_publish_latency_seconds',
      'From the row’s creation to the broker’s acknowledgement',
      LATENCY_BUCKETS,
      ['topic'],
    ),
    publishDuration: histogram(
      registry,
      'outbox_publish_duration_seconds',
      'Time for a batch to be answered by the brokers',
      DURATION_BUCKETS,
    ),
    batchEvents: histogram(registry, 'outbox_batch_events', 'Events of a batch', BATCH_BUCKETS),
    lastPublish: gauge(
      registry,
      'outbox_last_publish_timestamp_seconds',
      'When Kafka last acknowledged an event, Unix time',
    ),
  }
}

function databaseMetrics(registry: Registry) {
  return {
    polls: counter(registry, 'outbox_polls_total', 'Rounds of reserving: rows, empty or error', [
      'result',
    ]),
    reserveDuration: histogram(
      registry,
      'outbox_reserve_duration_seconds',
      'Time to reserve a batch',
      DURATION_BUCKETS,
    ),
    confirmDuration: histogram(
      registry,
      'outbox_confirm_duration_seconds',
      'Time to confirm a batch',
      DURATION_BUCKETS,
    ),
    confirmFailures: counter(
      registry,
      'outbox_confirm_failures_total',
      'Confirms that failed and are repeated',
    ),
    leaseAcquisitions: counter(registry, 'outbox_lease_acquisitions_total', 'Lanes leased'),
    leasesLost: counter(
      registry,
      'outbox_leases_lost_total',
      'Lanes lost to another replica, or for want of a renewal',
    ),
    fencedWrites: counter(
      registry,
      'outbox_fenced_writes_total',
      'Rows that a stale lease was kept from changing',
    ),
  }
}

function stateMetrics(registry: Registry) {
  return {
    pendingEvents: gauge(registry, 'outbox_pending_events', 'Events that wait, counted to a cap'),
    oldestPendingAge: gauge(
      registry,
      'outbox_oldest_pending_age_seconds',
      'Age of the oldest event that is due; the one to alert on',
    ),
    deadLetters: gauge(registry, 'outbox_dead_letters', 'Dead letters, counted to a cap'),
    lanesOwned: gauge(registry, 'outbox_lanes_owned', 'Lanes that this replica holds'),
    databaseUp: gauge(registry, 'outbox_db_up', '1: the last reservation succeeded'),
    kafkaUp: gauge(
      registry,
      'outbox_kafka_up',
      '0: the breaker of the whole cluster is not closed',
    ),
    breakerState: gauge(registry, 'outbox_breaker_state', '1 for the state a breaker is in', [
      'breaker',
      'state',
    ]),
    breakerTransitions: counter(
      registry,
      'outbox_breaker_transitions_total',
      'Changes of a breaker’s state',
      ['breaker', 'to'],
    ),
    buildInfo: gauge(registry, 'outbox_build_info', 'Versions; always 1', [
      'version',
      'node',
      'kafka_client',
    ]),
  }
}

function counter(registry: Registry, name: string, help: string, labelNames: string[] = []) {
  return new Counter({ name, help, labelNames, registers: [registry] })
}

function gauge(registry: Registry, name: string, help: string, labelNames: string[] = []) {
  return new Gauge({ name, help, labelNames, registers: [registry] })
}

function histogram(
  registry: Registry,
  name: string,
  help: string,
  buckets: number[],
  labelNames: string[] = [],
) {
  return new Histogram({ name, help, buckets, labelNames, registers: [registry] })
}
