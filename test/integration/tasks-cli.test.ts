import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import * as tasks from '../../src/cli/tasks.ts'
import type { SourceRecord } from '../../src/consumer/message.ts'
import { CONTROL_CODEC } from '../../src/waiting-room/control-codec.ts'
import { checkCommand } from '../../src/waiting-room/task-filter.ts'
import { type Ended, runCommand } from '../support/command.ts'
import { applyConsumerSchema } from '../support/consumer-schema.ts'
import { createDatabase } from '../support/database.ts'
import { addTasks, assertKeysWhole } from '../support/room-tasks.ts'

async function setup(t: TestContext) {
  const { url, sql } = await createDatabase(t)
  await applyConsumerSchema(sql)
  const sluice = (...args: string[]) => runCommand(tasks, url, ['tasks', ...args])
  const json = async (...args: string[]) => parsed(await sluice(...args, '--json'))
  const states = async () =>
    (await sql`select message_id || ' ' || state as text from waiting_room.tasks order by id`).map(
      ({ text }) => text as string,
    )
  return { url, sql, sluice, json, states }
}

function parsed({ code, stdout, stderr }: Ended): Record<string, unknown> {
  assert.equal(stderr, '')
  return { ...(JSON.parse(stdout) as Record<string, unknown>), code }
}

const YES = ['--yes', '--reason', 'checked', '--actor', 'kim']

test('tasks are listed in their order and counted by group and state, without payloads', async t => {
  const { sql, sluice, json } = await setup(t)
  assert.match((await sluice('list')).stdout, /^Nothing waits, and nothing has died\.\n$/)
  await addTasks(sql, [
    { messageId: 'a1', dueInSeconds: -90, reason: 'stock is low' },
    { messageId: 'a2', state: 'behind' },
    { messageId: 'x1', key: null, state: 'dead', topic: 'mail', reason: 'bad\u001b[31m' },
    { messageId: 'old', key: null, state: 'removed' },
    { messageId: 'm1', group: 'mail', key: 'm' },
  ])
  const { rows, counts } = await json('list')
  assert.deepEqual(
    (rows as Record<string, unknown>[]).map(row => [row.message_id, row.state, row.key]),
    [
      ['a1', 'waiting', 'k'],
      ['a2', 'behind', 'k'],
      ['x1', 'dead', null],
      ['m1', 'waiting', 'm'],
    ],
  )
  assert.deepEqual(counts, [
    { group: 'billing', state: 'behind', tasks: 1 },
    { group: 'billing', state: 'dead', tasks: 1 },
    { group: 'billing', state: 'waiting', tasks: 1 },
    { group: 'mail', state: 'waiting', tasks: 1 },
  ])
  const { stdout } = await sluice('list')
  assert.match(stdout, /waiting +for 1 min 30 s +orders +"k" +a1 +1 +stock is low/)
  assert.doesNotMatch(stdout, /(?!\n)\p{Cc}|"n"|\bold\b/u)
  const ids = async (...args: string[]) =>
    ((await json('list', ...args)).rows as { message_id: string }[])
      .map(row => row.message_id)
      .join()
  assert.equal(await ids('--group', 'mail'), 'm1')
  assert.equal(await ids('--state', 'removed'), 'old')
  assert.equal(await ids('--topic', 'mail'), 'x1')
  assert.equal(await ids('--key', 'k'), 'a1,a2')
  assert.equal(await ids('--limit', '1'), 'a1')
  assert.match((await sluice('list', '--group', 'nobody')).stdout, /^No such task\.\n$/)
  assert.equal((await sluice('list', '--state', 'asleep')).code, 2)
})

test('show tells everything about one, its payload only when asked', async t => {
  const { sql, sluice, json } = await setup(t)
  const [, id = ''] = await addTasks(sql, [
    { messageId: 'a1' },
    { messageId: 'a2', state: 'behind' },
  ])
  await sql`
    update waiting_room.tasks set last_error = 'no stock',
      headers = '[["source", "shop"], ["raw", {"base64": "/w=="}]]',
      history = '[{"at": "2026-01-01T00:00:00Z", "attempt": 1, "reason": "first"}]' where id = ${id}`
  await sql`update waiting_room.keys set held_until = 'infinity', held_reason = 'audit'`
  const { payload, ahead, ...detail } = await json('show', id)
  assert.deepEqual([payload, ahead, detail.payload_bytes, detail.ordered], [null, 1, 7, true])
  const { stdout } = await sluice('show', id, '--payload')
  assert.match(stdout, /^order +kept: 1 task of its key before it$/m)
  assert.match(stdout, /^key paused +until resumed: audit$/m)
  assert.match(stdout, /^header source +shop$/m)
  assert.match(stdout, /1 +first/)
  assert.match(stdout, /payload:\n\{"n":1\}\n$/)
  await sql`update waiting_room.tasks set value = '\\xff00'::bytea where id = ${id}`
  const bytes = await json('show', id, '--payload')
  assert.deepEqual([bytes.payload_kind, bytes.payload], ['bytes', '/wA='])
  const missing = await sluice('show', '999')
  assert.deepEqual([missing.code, missing.stdout], [1, ''])
  assert.match(missing.stderr, /no task 999/)
})

test('release and removal only say what they would do until they are confirmed', async t => {
  const { sql, sluice, json, states } = await setup(t)
  const [id = ''] = await addTasks(sql, [{ messageId: 'a1' }, { messageId: 'a2', state: 'behind' }])
  const before = await states()
  const group = ['--group', 'billing']
  const { stdout } = await sluice('release', ...group, '--all')
  assert.match(stdout, /Would release 1 task:[\s\S]*Would stay as they are: 1 behind\./)
  assert.match(stdout, /Nothing was changed\. To do it, add: --yes --reason "<why>"/)
  assert.match((await sluice('remove', id)).stdout, /Would remove 1 task:/)
  const plan = await json('remove', ...group, '--key', 'k')
  assert.deepEqual([plan.dry_run, plan.matching, plan.code], [true, 2, 0])
  assert.match((await sluice('pause', ...group)).stdout, /Would pause group billing\.\nNothing was/)
  assert.deepEqual(await states(), before)
  assert.equal((await sql`select from outbox.events`).length, 0)
  assert.equal((await sql`select from waiting_room.holds`).length, 0)
})

test('tasks are released and removed at once, with control events and an audit row', async t => {
  const { sql, sluice, json, states } = await setup(t)
  const [first = '', , other = ''] = await addTasks(sql, [
    { messageId: 'a1', state: 'dead', attempts: 10 },
    { messageId: 'a2' },
    { messageId: 'm1', group: 'mail' },
  ])
  const released = await json('release', first, other, '999', ...YES)
  assert.deepEqual([released.code, released.released, released.not_found], [1, 2, ['999']])
  assert.deepEqual(await states(), ['a1 waiting', 'a2 behind', 'm1 waiting'])
  const removed = await json('remove', 'a1', '--group', 'billing', ...YES)
  assert.deepEqual([removed.code, removed.removed], [0, 1])
  assert.match(
    (await sluice('remove', '--group', 'mail', '--all', ...YES)).stdout,
    /^Removed 1 task\.\n$/,
  )
  assert.deepEqual(await states(), ['a1 removed', 'a2 waiting', 'm1 removed'])
  await assertKeysWhole(sql)
  const audit = await sql`select action, actor, reason, rows from outbox.audit order by id`
  assert.deepEqual(
    audit.map(row => Object.values(row).join()),
    [
      'task.release,kim,checked,1',
      'task.release,kim,checked,1',
      'task.remove,kim,checked,1',
      'task.remove,kim,checked,1',
    ],
  )
  const events =
    await sql`select distinct topic, headers->>'twr-group' as group from outbox.events order by 2`
  assert.deepEqual(
    events.map(row => Object.values(row).join()),
    ['twr-inbox,billing', 'twr-inbox,mail'],
  )
})

test('what is vague or lacks its reason is refused before anything is done', async t => {
  const { sql, sluice, states } = await setup(t)
  await addTasks(sql, [{ messageId: 'a1' }])
  for (const [args, cure] of [
    [['release'], /--all/],
    [['release', '--all'], /--group/],
    [['release', '1', '--all'], /not both/],
    [['remove', 'a1', '--yes', '--reason', 'x'], /--group/],
    [['remove', '1', '--yes'], /--reason/],
    [['release', '--group', 'billing', '--all', '--yes'], /--reason/],
    [['pause', '--group', 'billing', '--yes'], /--reason/],
    [['pause', '--group', 'billing', '--key', 'k'], /--topic/],
    [['pause', '--group', 'billing', '--until', '2001-01-01T00:00Z'], /past/],
  ] as const) {
    const { code, stderr } = await sluice(...args)
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, cure)
  }
  assert.equal((await sluice('pause', '--yes', '--reason', 'x')).code, 2)
  assert.deepEqual(await states(), ['a1 waiting'])
})

test('groups, topics, partitions and keys are paused and resumed, and the overview shows it', async t => {
  const { sql, sluice, json } = await setup(t)
  assert.match((await sluice('groups')).stdout, /^Nothing waits in any group/)
  await addTasks(sql, [{ messageId: 'a1', dueInSeconds: -60 }])
  const orders = ['--group', 'billing', '--topic', 'orders']
  assert.match(
    (await sluice('pause', '--group', 'billing', ...YES)).stdout,
    /^Paused group billing until it is resumed\./,
  )
  const partition = await json('pause', ...orders, '--partition', '3', '--until', '2h', ...YES)
  assert.deepEqual([partition.code, partition.paused], [0, true])
  await sluice('pause', ...orders, '--key', 'k', ...YES)
  const [key] = await sql`select held_until::text from waiting_room.keys`
  assert.equal(key?.held_until, 'infinity')
  const { groups, holds } = await json('groups')
  assert.deepEqual(
    (groups as Record<string, unknown>[]).map(({ group, waiting, held, held_keys }) => ({
      group,
      waiting,
      held,
      held_keys,
    })),
    [{ group: 'billing', waiting: 0, held: 1, held_keys: 1 }],
  )
  assert.equal((holds as unknown[]).length, 2)
  assert.match(
    (await sluice('groups')).stdout,
    /^partition orders\/3 in group billing .* kim +checked$/m,
  )
  const resumed = await sluice('resume', '--group', 'billing', ...YES)
  assert.match(
    resumed.stdout,
    /^Resumed group billing\.\nStill paused: partition orders\/3 in group billing: checked\.\n$/,
  )
  assert.equal((await json('resume', ...orders, '--key', 'k', ...YES)).resumed, true)
  assert.match((await sluice('groups')).stdout, /^billing +1 +0 +0 +0 +0 +for /m)
  assert.match((await sluice('resume', ...orders, ...YES)).stdout, /^Not paused: topic orders/)
})

test('a command that is sent changes nothing itself, and lies in the outbox for the control topic', async t => {
  const { sql, sluice, states } = await setup(t)
  const [id] = await addTasks(sql, [{ messageId: 'a1' }])
  const sent = await sluice('remove', String(id), '--via-topic', ...YES)
  assert.match(sent.stdout, /^Sent to twr-inbox through the outbox/)
  const pause = ['pause', '--group', 'billing', '--topic', 'orders', '--key', 'k', ...YES]
  await sluice(...pause, '--via-topic', '--control-topic', 'room-control')
  assert.deepEqual(await states(), ['a1 waiting'])
  const events =
    await sql`select topic, key, event_type, payload, headers from outbox.events order by id`
  const by = { actor: 'kim', reason: 'checked' }
  assert.deepEqual(
    [...events],
    [
      {
        topic: 'twr-inbox',
        key: 'billing',
        event_type: 'twr.command.remove',
        payload: { type: 'twr.command.remove', filter: { ids: [id] }, ...by },
        headers: { 'twr-group': 'billing' },
      },
      {
        topic: 'room-control',
        key: 'billing/orders/k',
        event_type: 'twr.command.pause',
        payload: { type: 'twr.command.pause', target: { topic: 'orders', key: 'k' }, ...by },
        headers: { 'twr-group': 'billing' },
      },
    ],
  )
})

test('what is sent is understood by those who read the control topic, also without a reason', async t => {
  const { sql, sluice } = await setup(t)
  const [id = ''] = await addTasks(sql, [{ messageId: 'a1' }])
  const group = ['--group', 'billing']
  for (const args of [
    ['release', id],
    ['release', ...group, '--all', '--reason', 'x'],
    ['remove', 'a1', ...group, '--reason', 'x'],
    ['pause', ...group, '--topic', 'orders', '--partition', '1', '--until', '2h', '--reason', 'x'],
    ['resume', ...group],
  ]) {
    const { code, stderr } = await sluice(...args, '--yes', '--via-topic')
    assert.equal(code, 0, stderr)
  }
  const rows = await sql`select payload::text as payload from outbox.events order by id`
  assert.equal(rows.length, 5)
  for (const { payload } of rows) {
    const record = { value: Buffer.from(payload), headers: [] } as unknown as SourceRecord
    const read = CONTROL_CODEC.decode(record.value, record)
    assert.equal(read.kind, 'command', payload)
    if (read.kind === 'command') assert.doesNotThrow(() => checkCommand(read.command))
  }
})

test('a database without the waiting room ends it with 3 and the cure', async t => {
  const { url } = await createDatabase(t)
  const commands = [
    ['list'],
    ['groups'],
    ['show', '1'],
    ['remove', '1'],
    ['pause', '--group', 'g'],
    ['resume', '--group', 'g', '--yes'],
  ]
  for (const args of commands) {
    const { code, stderr } = await runCommand(tasks, url, ['tasks', ...args])
    assert.equal(code, 3, args.join(' '))
    assert.match(stderr, /sluice migrate outbox consumer/)
  }
})
