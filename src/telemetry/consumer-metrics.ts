import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { ConsumerEvent, ConsumerListener } from '../consumer/consumer-events.ts'
import { LabelSet } from './label-set.ts'

const GROUPS_MAX = 50
const TOPICS_MAX = 200
const DEPENDENCIES_MAX = 50
const COMMANDS_MAX = 20
const STATES = ['closed', 'open', 'half_open'] as const

const DURATION_BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60,
]
const LATENESS_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600]

/**
 * Counts what subscriptions tell, for all groups of a process at once.
 *
 * @param registry the one to add to
 * @throws Error when it has one of the names already: call this once for it
 */
export function createConsumerMetrics(registry: Registry): ConsumerListener {
  return new ConsumerCounter(registry).listener
}

type MetricSet = ReturnType<typeof defineMetrics>

function defineMetrics(registry: Registry) {
  return { ...deliveryMetrics(registry), ...groupMetrics(registry), ...roomMetrics(registry) }
}

function deliveryMetrics(registry: Registry) {
  const ofTopic = ['group', 'topic']
  return {
    delivered: counter(registry, 'consumer_delivered_total', 'Records handled', ofTopic),
    duplicates: counter(
      registry,
      'consumer_duplicates_total',
      'Records that the inbox had already',
      ofTopic,
    ),
    behind: counter(
      registry,
      'consumer_behind_total',
      'Records put behind earlier ones of their key',
      ofTopic,
    ),
    notDone: counter(
      registry,
      'consumer_not_done_total',
      'Handlings of records and tasks that did not end well: retry, hold, bad, down, drop',
      [...ofTopic, 'kind'],
    ),
    dead: counter(
      registry,
      'consumer_dead_letters_total',
      'Records and tasks that became dead letters',
      ofTopic,
    ),
    duration: histogram(
      registry,
      'consumer_delivery_duration_seconds',
      'Time of a transaction that handled records',
      DURATION_BUCKETS,
    ),
  }
}

function groupMetrics(registry: Registry) {
  const ofGroup = ['group']
  return {
    joins: counter(registry, 'consumer_joins_total', 'Joins of the group, rebalances too', ofGroup),
    assigned: gauge(registry, 'consumer_assigned_partitions', 'Partitions of this member', ofGroup),
    paused: gauge(registry, 'consumer_paused_partitions', 'Those of them that are paused', ofGroup),
    crashes: counter(registry, 'consumer_crashes_total', 'Crashes of the Kafka client', ofGroup),
    outOfRange: counter(
      registry,
      'consumer_out_of_range_total',
      'Positions whose records were deleted before they were read',
      ['group', 'topic'],
    ),
    commitFailures: counter(
      registry,
      'consumer_commit_failures_total',
      'Offset commits that failed and are repeated',
      ofGroup,
    ),
    storeFailures: counter(
      registry,
      'consumer_store_failures_total',
      'Failures of the database of inbox and waiting room',
      ofGroup,
    ),
    dependency: gauge(
      registry,
      'consumer_dependency_state',
      '1 for the state the breaker of a dependency is in',
      ['dependency', 'state'],
    ),
  }
}

function roomMetrics(registry: Registry) {
  const ofGroup = ['group']
  return {
    claimed: counter(
      registry,
      'waiting_room_tasks_claimed_total',
      'Tasks taken up when due',
      ofGroup,
    ),
    ended: counter(
      registry,
      'waiting_room_tasks_ended_total',
      'How work on claimed tasks ended; retry: once more, later',
      ['group', 'how'],
    ),
    lateness: histogram(
      registry,
      'waiting_room_lateness_seconds',
      'How long after its time the first of the claimed tasks was claimed',
      LATENESS_BUCKETS,
    ),
    fenced: counter(
      registry,
      'waiting_room_tasks_fenced_total',
      'Workers kept from a task that they had lost',
      ofGroup,
    ),
    repaired: counter(
      registry,
      'waiting_room_keys_repaired_total',
      'Waiting keys that the sweeper had to mend; must stay 0',
      ofGroup,
    ),
    expired: counter(
      registry,
      'waiting_room_tasks_expired_total',
      'Tasks that the sweeper found expired',
      ofGroup,
    ),
    commands: counter(registry, 'waiting_room_commands_total', 'Commands applied', [
      'group',
      'command',
    ]),
    badCommands: counter(
      registry,
      'waiting_room_bad_commands_total',
      'Control records that were refused',
      ofGroup,
    ),
  }
}

class ConsumerCounter {
  readonly #set: MetricSet
  readonly #groups = new LabelSet(GROUPS_MAX)
  readonly #topics = new LabelSet(TOPICS_MAX)
  readonly #dependencies = new LabelSet(DEPENDENCIES_MAX)
  readonly #commands = new LabelSet(COMMANDS_MAX)

  constructor(registry: Registry) {
    this.#set = defineMetrics(registry)
  }

  readonly listener: ConsumerListener = event => {
    switch (event.kind) {
      case 'delivered':
      case 'not_done':
      case 'dead':
      case 'out_of_range':
        return this.#countRecords(event)
      case 'dependency_changed':
        return this.#dependency(event.dependency, event.state)
      default:
        return this.#countGroup(event, { group: this.#groups.bound(event.group) })
    }
  }

  #countRecords(event: RecordEvent): void {
    const set = this.#set
    const group = this.#groups.bound(event.group)
    const labels = { group, topic: this.#topics.bound(event.topic) }
    switch (event.kind) {
      case 'delivered':
        set.delivered.inc(labels, event.handled)
        set.duplicates.inc(labels, event.duplicates)
        set.behind.inc(labels, event.behind)
        set.duration.observe({ group }, event.durationMs / 1_000)
        break
      case 'not_done':
        set.notDone.inc({ ...labels, kind: event.outcome.kind })
        break
      case 'dead':
        set.dead.inc(labels)
        break
      case 'out_of_range':
        set.outOfRange.inc(labels)
    }
  }

  #countGroup(event: GroupEvent, labels: { group: string }): void {
    const set = this.#set
    switch (event.kind) {
      case 'joined':
        set.joins.inc(labels)
        set.assigned.set(labels, event.partitions.length)
        break
      case 'revoked':
        set.assigned.set(labels, 0)
        break
      case 'paused':
        set.paused.set(labels, event.partitions.length)
        break
      case 'crashed':
        set.crashes.inc(labels)
        break
      case 'commit_failed':
        set.commitFailures.inc(labels)
        break
      case 'store_failed':
        set.storeFailures.inc(labels)
        break
      default:
        this.#countRoom(event, labels)
    }
  }

  #countRoom(event: GroupEvent, labels: { group: string }): void {
    const set = this.#set
    switch (event.kind) {
      case 'tasks_claimed':
        if (event.tasks === 0) break
        set.claimed.inc(labels, event.tasks)
        set.lateness.observe(labels, Math.max(0, event.lateMs) / 1_000)
        break
      case 'task_ended':
        set.ended.inc({ ...labels, how: event.how })
        break
      case 'task_fenced':
        set.fenced.inc(labels)
        break
      case 'repaired':
        set.repaired.inc(labels, event.keys)
        break
      case 'swept':
        set.expired.inc(labels, event.expired)
        break
      case 'command_applied':
        set.commands.inc({ ...labels, command: this.#commands.bound(event.command) })
        break
      case 'bad_command':
        set.badCommands.inc(labels)
    }
  }

  #dependency(name: string, state: (typeof STATES)[number]): void {
    const dependency = this.#dependencies.bound(name)
    for (const one of STATES) {
      this.#set.dependency.set({ dependency, state: one }, one === state ? 1 : 0)
    }
  }
}

type RecordEvent = Extract<
  ConsumerEvent,
  { kind: 'delivered' | 'not_done' | 'dead' | 'out_of_range' }
>
type GroupEvent = Exclude<ConsumerEvent, RecordEvent | { kind: 'dependency_changed' }>

function counter(registry: Registry, name: string, help: string, labelNames: string[]) {
  return new Counter({ name, help, labelNames, registers: [registry] })
}

function gauge(registry: Registry, name: string, help: string, labelNames: string[]) {
  return new Gauge({ name, help, labelNames, registers: [registry] })
}

function histogram(registry: Registry, name: string, help: string, buckets: number[]) {
  return new Histogram({ name, help, buckets, labelNames: ['group'], registers: [registry] })
}
