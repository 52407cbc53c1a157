import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import type { ConsumerEvent } from '../../../src/consumer/consumer-events.ts'
import { createConsumerMetrics } from '../../../src/telemetry/consumer-metrics.ts'

function setup() {
  const registry = new Registry()
  const listener = createConsumerMetrics(registry)
  /** The line of one series, without its name. */
  const value = async (series: string) => {
    const lines = (await registry.metrics()).split('\n')
    const line = lines.find(one => one.startsWith(`${series} `))
    return line === undefined ? null : Number(line.slice(series.length + 1))
  }
  return { tell: (...events: ConsumerEvent[]) => events.forEach(listener), value }
}

const group = 'billing'
const record = { group, topic: 'orders', partition: 1, offset: 7n, messageId: 'm' }
const delivered = (topic: string, handled: number): ConsumerEvent => ({
  ...{ kind: 'delivered', group, topic, handled, duplicates: 2, behind: 1, durationMs: 20 },
})

test('deliveries are counted by group and topic, with duplicates and what went behind', async () => {
  const { tell, value } = setup()
  tell(delivered('orders', 5), delivered('orders', 0), delivered('mail', 1))
  const labels = '{group="billing",topic="orders"}'
  assert.equal(await value(`consumer_delivered_total${labels}`), 5)
  assert.equal(await value(`consumer_duplicates_total${labels}`), 4)
  assert.equal(await value(`consumer_behind_total${labels}`), 2)
  assert.equal(await value('consumer_delivery_duration_seconds_count{group="billing"}'), 3)
  assert.equal(
    await value('consumer_delivery_duration_seconds_bucket{le="0.01",group="billing"}'),
    0,
  )
})

test('what was not handled is counted by the kind of its outcome, dead letters besides', async () => {
  const { tell, value } = setup()
  const notDone = { kind: 'not_done', ...record, attempt: 1, error: null } as const
  tell(
    { ...notDone, outcome: { kind: 'retry', reason: 'r' } },
    { ...notDone, outcome: { kind: 'retry', reason: 'r' } },
    { ...notDone, outcome: { kind: 'bad', reason: 'r' } },
    { kind: 'dead', ...record, reason: 'r', attempts: 1 },
  )
  const labels = 'group="billing",topic="orders"'
  assert.equal(await value(`consumer_not_done_total{${labels},kind="retry"}`), 2)
  assert.equal(await value(`consumer_not_done_total{${labels},kind="bad"}`), 1)
  assert.equal(await value(`consumer_dead_letters_total{${labels}}`), 1)
})

test('tasks are counted, and how late the first of them was', async () => {
  const { tell, value } = setup()
  tell(
    { kind: 'tasks_claimed', group, tasks: 0, lateMs: 0, durationMs: 1 },
    { kind: 'tasks_claimed', group, tasks: 3, lateMs: 2_000, durationMs: 1 },
    { kind: 'task_ended', group, taskId: '1', how: 'retry' },
    { kind: 'task_ended', group, taskId: '2', how: 'done' },
    { kind: 'task_fenced', group, taskId: '3' },
    { kind: 'repaired', group, keys: 2 },
    { kind: 'swept', group, expired: 4, inboxRows: 9 },
    { kind: 'command_applied', group, command: 'twr.command.remove', tasks: 4 },
    { kind: 'bad_command', group, messageId: 'm', reason: 'r' },
  )
  const of = async (name: string, labels = '') => value(`${name}{group="billing"${labels}}`)
  assert.equal(await of('waiting_room_tasks_claimed_total'), 3)
  assert.equal(await of('waiting_room_lateness_seconds_count'), 1)
  assert.equal(await of('waiting_room_lateness_seconds_sum'), 2)
  assert.equal(await of('waiting_room_tasks_ended_total', ',how="retry"'), 1)
  assert.equal(await of('waiting_room_tasks_fenced_total'), 1)
  assert.equal(await of('waiting_room_keys_repaired_total'), 2)
  assert.equal(await of('waiting_room_tasks_expired_total'), 4)
  assert.equal(await of('waiting_room_commands_total', ',command="twr.command.remove"'), 1)
  assert.equal(await of('waiting_room_bad_commands_total'), 1)
})

test('the state of the membership and of dependencies is shown as it is', async () => {
  const { tell, value } = setup()
  const partitions = [0, 1].map(partition => ({ topic: 'orders', partition }))
  const error = new Error('away')
  tell(
    { kind: 'joined', group, epoch: 1, partitions },
    { kind: 'paused', group, partitions: partitions.slice(1), because: ['hold'] },
    { kind: 'crashed', group, error, restartInMs: 5 },
    { kind: 'commit_failed', group, error },
    { kind: 'store_failed', group, error },
    { kind: 'out_of_range', group, topic: 'orders', partition: 0, position: 5n },
    { kind: 'dependency_changed', dependency: 'bank', state: 'open', reason: 'r' },
  )
  const of = async (name: string) => value(`${name}{group="billing"}`)
  assert.equal(await of('consumer_assigned_partitions'), 2)
  assert.equal(await of('consumer_paused_partitions'), 1)
  assert.equal(await of('consumer_joins_total'), 1)
  assert.equal(await of('consumer_crashes_total'), 1)
  assert.equal(await of('consumer_commit_failures_total'), 1)
  assert.equal(await of('consumer_store_failures_total'), 1)
  assert.equal(await value('consumer_out_of_range_total{group="billing",topic="orders"}'), 1)
  assert.equal(await value('consumer_dependency_state{dependency="bank",state="open"}'), 1)
  assert.equal(await value('consumer_dependency_state{dependency="bank",state="closed"}'), 0)
  tell({ kind: 'revoked', group, why: 'stop', partitions, drained: true })
  assert.equal(await of('consumer_assigned_partitions'), 0)
})

test('topics beyond two hundred share one label', async () => {
  const { tell, value } = setup()
  for (let topic = 0; topic < 300; topic++) tell(delivered(`t${topic}`, 1))
  assert.equal(await value('consumer_delivered_total{group="billing",topic="t199"}'), 1)
  assert.equal(await value('consumer_delivered_total{group="billing",topic="other"}'), 100)
})
