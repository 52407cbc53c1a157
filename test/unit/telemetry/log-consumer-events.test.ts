import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConsumerEvent } from '../../../src/consumer/consumer-events.ts'
import type { Outcome } from '../../../src/consumer/outcome.ts'
import type { Log } from '../../../src/telemetry/log.ts'
import { logConsumerEvents } from '../../../src/telemetry/log-consumer-events.ts'

function setup() {
  const lines: { level: string; facts: Record<string, unknown>; message: string }[] = []
  const at = (level: string) => (facts: object, message: string) => {
    lines.push({ level, facts: { ...facts }, message })
  }
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  let nowMs = 0
  const listener = logConsumerEvents(log, () => nowMs)
  return {
    tell: (...events: ConsumerEvent[]) => events.forEach(listener),
    pass: (durationMs: number) => {
      nowMs += durationMs
    },
    /** Codes since the last call. */
    told: () => lines.splice(0).map(({ facts }) => facts.code),
    lines,
  }
}

const group = 'billing'
const record = { group, topic: 'orders', partition: 1, offset: 7n, messageId: 'm' }
const notDone = (outcome: Exclude<Outcome, { kind: 'done' }>): ConsumerEvent => ({
  ...{ kind: 'not_done', ...record, outcome, attempt: 1, error: null },
})
const delivered: ConsumerEvent = {
  ...{ kind: 'delivered', group, topic: 'orders', handled: 1, duplicates: 0, behind: 0 },
  durationMs: 3,
}

test('a database that fails is told at its start, once a minute, and at its end', () => {
  const { tell, pass, told, lines } = setup()
  for (let second = 0; second < 150; second++) {
    tell({ kind: 'store_failed', group, error: new Error('away') })
    pass(1_000)
  }
  assert.deepEqual(told(), Array(3).fill('TWRW_ROOM_01'))
  tell(delivered)
  const [line] = lines
  assert.deepEqual(
    [line?.level, line?.message],
    ['info', 'database of the waiting room works again'],
  )
  assert.deepEqual(line?.facts, {
    code: 'TWRI_ROOM_02',
    group,
    failures: 150,
    outageMs: 150_000,
  })
  assert.deepEqual(told(), ['TWRI_ROOM_02', 'TWRD_DELIV_01'])
})

test('each group has its own outages, of commits and of crashes alike', () => {
  const { tell, told } = setup()
  const error = new Error('away')
  for (const one of ['a', 'b', 'a', 'b']) {
    tell({ kind: 'commit_failed', group: one, error })
    tell({ kind: 'crashed', group: one, error, restartInMs: 1_000 })
  }
  assert.deepEqual(told(), ['TWRW_COMMIT_01', 'TWRE_GROUP_05', 'TWRW_COMMIT_01', 'TWRE_GROUP_05'])
  tell({ kind: 'committed', group: 'a', offsets: [] })
  tell({ kind: 'joined', group: 'a', epoch: 2, partitions: [] })
  assert.deepEqual(told(), ['TWRI_COMMIT_02', 'TWRD_COMMIT_03', 'TWRI_GROUP_06', 'TWRI_GROUP_01'])
})

test('single records are told at debug, dead letters and holds at warn', () => {
  const { tell, lines } = setup()
  const reason = 'no stock'
  tell(
    delivered,
    notDone({ kind: 'retry', reason }),
    notDone({ kind: 'hold', reason }),
    notDone({ kind: 'bad', reason }),
    notDone({ kind: 'down', dependency: 'bank', reason }),
    notDone({ kind: 'drop', why: 'expired' }),
    { kind: 'dead', ...record, reason, attempts: 10 },
    { kind: 'task_ended', group, taskId: '1', how: 'retry' },
  )
  assert.deepEqual(
    lines.map(({ level }) => level),
    ['debug', 'debug', 'warn', 'debug', 'debug', 'debug', 'warn', 'debug'],
  )
  assert.equal(lines[6]?.facts.offset, '7')
})

test('a dependency’s failing probes are one outage', () => {
  const { tell, pass, told, lines } = setup()
  const changed = (state: 'closed' | 'open' | 'half_open'): ConsumerEvent => ({
    ...{ kind: 'dependency_changed', dependency: 'bank', state, reason: 'ECONNREFUSED' },
  })
  for (let n = 0; n < 5; n++) {
    tell(changed('open'), changed('half_open'))
    pass(5_000)
  }
  assert.deepEqual(told(), ['TWRW_DEP_01', ...Array(5).fill('TWRD_DEP_02')])
  tell(changed('closed'))
  assert.deepEqual([lines[0]?.facts.failures, lines[0]?.facts.outageMs], [5, 25_000])
  assert.deepEqual(told(), ['TWRI_DEP_03'])
})

test('giving up partitions is information, unless work was cut off or they were lost', () => {
  const { tell, told, lines } = setup()
  const partitions = [0, 1, 2, 5].map(partition => ({ topic: 'orders', partition }))
  const revoked = (why: 'rebalance' | 'stop' | 'lost', drained: boolean): ConsumerEvent => ({
    ...{ kind: 'revoked', group, why, partitions, drained },
  })
  tell(revoked('rebalance', true), revoked('stop', false), revoked('lost', false))
  assert.equal(lines[0]?.facts.partitions, 'orders: 0-2,5')
  assert.deepEqual(told(), ['TWRI_GROUP_02', 'TWRW_GROUP_03', 'TWRW_GROUP_04'])
})

test('every kind of event has a line whose level is that of its code', () => {
  const { tell, lines } = setup()
  tell(
    { kind: 'out_of_range', group, topic: 'orders', partition: 0, position: 9n },
    { kind: 'paused', group, partitions: [{ topic: 'a', partition: 0 }], because: ['hold'] },
    { kind: 'paused', group, partitions: [], because: [] },
    { kind: 'tasks_claimed', group, tasks: 0, lateMs: 0, durationMs: 1 },
    { kind: 'tasks_claimed', group, tasks: 2, lateMs: 5, durationMs: 1 },
    { kind: 'task_fenced', group, taskId: '1' },
    { kind: 'repaired', group, keys: 1 },
    { kind: 'swept', group, expired: 0, inboxRows: 5 },
    { kind: 'swept', group, expired: 2, inboxRows: 5 },
    { kind: 'command_applied', group, command: 'twr.command.release', tasks: 3 },
    { kind: 'bad_command', group, messageId: 'm', reason: 'no filter' },
    { kind: 'committed', group, offsets: [{ topic: 'a', partition: 0, offset: 5n }] },
  )
  assert.deepEqual(
    lines.map(({ facts }) => facts.code),
    [
      'TWRE_GROUP_09',
      'TWRI_GROUP_07',
      'TWRI_GROUP_08',
      'TWRD_TASK_01',
      'TWRW_TASK_03',
      'TWRE_ROOM_03',
      'TWRD_ROOM_05',
      'TWRI_ROOM_04',
      'TWRI_CTRL_01',
      'TWRW_CTRL_02',
      'TWRD_COMMIT_03',
    ],
  )
  for (const { level, facts } of lines) {
    assert.equal(String(facts.code).charAt(3), level.charAt(0).toUpperCase())
    assert.doesNotThrow(() => JSON.stringify(facts))
  }
  assert.equal(lines[10]?.facts.offsets, 'a/0=5')
})
