import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import * as lanes from '../../src/cli/lanes.ts'
import * as topics from '../../src/cli/topics.ts'
import { runCommand } from '../support/command.ts'
import { createDatabase } from '../support/database.ts'

async function setup(t: TestContext) {
  const { url, sql } = await createDatabase(t)
  const sluice = (...args: string[]) => runCommand(args[0] === 'lanes' ? lanes : topics, url, args)
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await sluice(...args, '--json')
    assert.deepEqual([code, stderr], [0, ''])
    return JSON.parse(stdout)
  }
  const paused = async () =>
    (
      await sql`select kind, name, reason, paused_by from outbox.pauses order by kind, length(name), name`
    ).map(row => `${row.kind} ${row.name} ${row.reason} ${row.paused_by}`)
  return { url, sql, sluice, json, paused }
}

test('lanes are paused and resumed, with who and why, and only with --yes', async t => {
  const { sql, sluice, json, paused } = await setup(t)
  const dry = await sluice('lanes', 'pause', '3', '10-12')
  assert.equal(dry.code, 0)
  assert.match(dry.stdout, /Would pause 4 lanes: 3, 10-12\.\nNothing was changed.*--yes --reason/)
  assert.deepEqual(await paused(), [])
  assert.equal((await sluice('lanes', 'pause', '3', '--yes')).code, 2)
  const act = ['--yes', '--reason', 'hot key', '--actor', 'kim']
  assert.deepEqual(await json('lanes', 'pause', '3', '10-12', ...act), {
    dry_run: false,
    paused: ['3', '10', '11', '12'],
    unchanged: [],
  })
  assert.deepEqual(await paused(), [
    'lane 3 hot key kim',
    'lane 10 hot key kim',
    'lane 11 hot key kim',
    'lane 12 hot key kim',
  ])
  const again = ['pause', '3', '4', '--yes', '--reason', 'other', '--actor', 'lee']
  assert.deepEqual((await json('lanes', ...again)).unchanged, ['3'])
  assert.equal((await paused())[0], 'lane 3 hot key kim', 'the first reason stays')
  assert.match((await sluice('lanes', 'resume', '3')).stdout, /Would resume 1 lane: 3\./)
  assert.deepEqual((await json('lanes', 'resume', '0-63', '--yes')).resumed, [
    '3',
    '4',
    '10',
    '11',
    '12',
  ])
  assert.deepEqual(await paused(), [])
  const audit = await sql`select action, rows, reason from outbox.audit order by id`
  assert.deepEqual(
    audit.map(row => `${row.action} ${row.rows} ${row.reason}`),
    ['lane.pause 4 hot key', 'lane.pause 1 other', 'lane.resume 5 null'],
  )
})

test('lanes that do not exist are refused', async t => {
  const { sluice } = await setup(t)
  for (const lane of ['64', '-1', 'x', '5-3', '0-64', '1.5', '']) {
    const { code } = await sluice('lanes', 'pause', lane, '--yes', '--reason', 'x')
    assert.equal(code, 2, lane)
  }
})

test('the lanes are listed with owner, what waits and pauses, idle neighbours in one line', async t => {
  const { sql, sluice, json } = await setup(t)
  await sql`update outbox.lanes set owner = 'r1', epoch = 4, leased_until = now() + interval '1 minute' where lane < 32`
  await sql`update outbox.lanes set owner = 'r2', epoch = 5, leased_until = now() - interval '1 minute' where lane = 32`
  await sql`
    insert into outbox.events (id, topic, event_type, created_at) overriding system value
    select 64 * n + 9, 't', 'T', now() - interval '1 hour' from generate_series(1, 1200) n`
  await sluice('lanes', 'pause', '20-21', '--yes', '--reason', 'why', '--actor', 'kim')
  const facts = await json('lanes', 'list')
  assert.equal(facts.length, 64)
  const { lease_left_seconds: left, oldest_age_seconds: age, ...nine } = facts[9]
  assert.deepEqual(nine, {
    lane: 9,
    owner: 'r1',
    epoch: '4',
    paused_by: null,
    pause_reason: null,
    waiting: 1_000,
  })
  assert.ok(left > 30 && left <= 60 && age >= 3_600 && age < 3_660)
  const { stdout } = await sluice('lanes', 'list')
  assert.match(stdout, /^0-8 +r1 +4 +\d+\.\d s +0 +-$/m)
  assert.match(stdout, /^9 +r1 .* 1,000\+ +1 h$/m)
  assert.match(stdout, /^20-21 +r1 .* by kim: why$/m)
  assert.match(stdout, /^32 +r2 +5 +ended +0 +-$/m)
  assert.match(stdout, /^33-63 +- +0 +- +0 +-$/m)
})

test('topics are paused and resumed; only legal names can be paused, any can be resumed', async t => {
  const { sql, sluice, json, paused } = await setup(t)
  for (const topic of ['__x', 'a b', 'x\u001b', '']) {
    assert.equal((await sluice('topics', 'pause', topic, '--yes', '--reason', 'x')).code, 2)
  }
  assert.deepEqual(
    (await json('topics', 'pause', 'orders', 'mail', 'orders', '--yes', '--reason', 'x')).paused,
    ['mail', 'orders'],
  )
  assert.match((await paused())[1] ?? '', /^topic orders x .+@.+$/)
  await sql`insert into outbox.pauses (kind, name, reason, paused_by) values ('topic', 'a b', 'by hand', 'x')`
  assert.deepEqual((await json('topics', 'resume', 'a b', 'mail', 'gone', '--yes')).resumed, [
    'a b',
    'mail',
  ])
  assert.equal((await paused()).length, 1)
})

test('the topics are listed with what waits, breakers and pauses', async t => {
  const { sql, sluice, json } = await setup(t)
  assert.match((await sluice('topics', 'list')).stdout, /^Nothing waits/)
  await sql`
    insert into outbox.events (topic, key, event_type, created_at, not_before) values
      ('orders', 'a', 'T', now() - interval '10 minutes', null),
      ('orders', 'b', 'T', now() - interval '20 minutes', now() + interval '1 hour'),
      ('mail', 'b', 'T', now(), now() + interval '1 hour')`
  await sql`insert into outbox.replicas (replica, version, host, alive_until) values ('r', '1', 'h', now()), ('s', '1', 'h', now())`
  await sql`
    insert into outbox.breakers (replica, breaker, state, reason) values
      ('r', 'topic:mail', 'half_open', 'b'), ('s', 'topic:mail', 'open', 'a'), ('r', 'cluster', 'open', 'c')`
  await sluice('topics', 'pause', 'stock', '--yes', '--reason', 'why', '--actor', 'kim')
  const { topics: list, capped } = await json('topics', 'list')
  assert.equal(capped, false)
  const none = { breaker: null, breaker_reason: null, paused_by: null, pause_reason: null }
  const [orders, mail, stock, ...more] = list
  assert.equal(more.length, 0)
  const { oldest_due_age_seconds: age, ...rest } = orders
  assert.deepEqual(rest, { topic: 'orders', waiting: 2, ...none })
  assert.ok(age >= 600 && age < 660)
  assert.deepEqual(mail, {
    ...none,
    topic: 'mail',
    waiting: 1,
    oldest_due_age_seconds: null,
    breaker: 'open',
    breaker_reason: 'a',
  })
  assert.deepEqual([stock.topic, stock.waiting, stock.paused_by], ['stock', 0, 'kim'])
  assert.match((await sluice('topics', 'list')).stdout, /^mail +1 +- +open: a$/m)
})

test('more events than are looked at are told of', async t => {
  const { sql, json, sluice } = await setup(t)
  await sql`insert into outbox.events (topic, key, event_type) select 't', 'one', 'T' from generate_series(1, 1001)`
  const { topics: list, capped } = await json('topics', 'list')
  assert.deepEqual([list[0].waiting, capped], [1_000, true])
  assert.match((await sluice('topics', 'list')).stdout, /^t +1,000\+ /m)
})

test('what operators did can be added to, but not altered or removed', async t => {
  const { sql, sluice } = await setup(t)
  await sluice('topics', 'pause', 'orders', '--yes', '--reason', 'x')
  for (const change of [
    sql`update outbox.audit set actor = 'other'`,
    sql`delete from outbox.audit`,
    sql`truncate outbox.audit`,
  ]) {
    await assert.rejects(change, /append only/)
  }
  assert.equal((await sql`select from outbox.audit`).length, 1)
})
