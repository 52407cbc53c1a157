import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import * as dead from '../../src/cli/dead.ts'
import { type Ended, runCommand } from '../support/command.ts'
import { createDatabase } from '../support/database.ts'
import { bury, buryMany, contents } from '../support/dead-letters.ts'

async function setup(t: TestContext) {
  const { url, sql } = await createDatabase(t)
  const sluice = (...args: string[]) => runCommand(dead, url, ['dead', ...args])
  const json = async (...args: string[]) => parsed(await sluice(...args, '--json'))
  return { url, sql, sluice, json }
}

function parsed({ code, stdout, stderr }: Ended): Record<string, unknown> {
  assert.equal(stderr, '')
  return { ...(JSON.parse(stdout) as Record<string, unknown>), code }
}

test('dead letters are listed newest first, counted by reason and topic, without payloads', async t => {
  const { sql, sluice, json } = await setup(t)
  await bury(sql, { id: 1, minutesAgo: 30 })
  await bury(sql, { id: 2, minutesAgo: 10, reason: 'expired', topic: 'mail', key: null })
  await bury(sql, { id: 3, minutesAgo: 20 })
  const { counts, rows } = await json('list')
  assert.deepEqual(
    (rows as { id: string }[]).map(({ id }) => id),
    ['2', '3', '1'],
  )
  assert.deepEqual(counts, [
    { reason: 'message_too_large', topic: 'orders', events: 2, expired: 0 },
    { reason: 'expired', topic: 'mail', events: 1, expired: 0 },
  ])
  const { stdout } = await sluice('list')
  assert.match(stdout, /^2 +message_too_large +orders$/m)
  assert.doesNotMatch(stdout, /"n"/)
})

test('the list is narrowed by topic, key, reason and time, and cut at its limit', async t => {
  const { sql, json } = await setup(t)
  await bury(sql, { id: 1, minutesAgo: 90 })
  await bury(sql, { id: 2, minutesAgo: 10, topic: 'mail' })
  await bury(sql, { id: 3, minutesAgo: 20, key: '' })
  await bury(sql, { id: 4, minutesAgo: 30, reason: 'expired' })
  const ids = async (...args: string[]) =>
    ((await json('list', ...args)).rows as { id: string }[]).map(({ id }) => id).join()
  assert.equal(await ids('--topic', 'mail'), '2')
  assert.equal(await ids('--key', ''), '3')
  assert.equal(await ids('--reason', 'expired'), '4')
  assert.equal(await ids('--since', '1h'), '2,3,4')
  assert.equal(await ids('--since', '1h', '--until', '15m'), '3,4')
  assert.equal(await ids('--limit', '1'), '2')
})

test('what writers and brokers wrote cannot command the terminal', async t => {
  const { sql, sluice } = await setup(t)
  const evil = '\u001b]0;x\u0007\u009b31m\u202e'
  await bury(sql, { id: 1, key: evil, error: `${evil}\nFAKE LINE`, topic: `t${evil}` })
  const show = ['show', '1', '--payload']
  for (const args of [['list'], show, ['list', '--json'], [...show, '--json'], ['requeue', '1']]) {
    const { stdout } = await sluice(...args)
    assert.doesNotMatch(stdout, /(?!\n)\p{Cc}|\u202e/u, args.join(' '))
    assert.doesNotMatch(stdout, /^FAKE/m)
  }
})

test('show tells everything by either id, the payload only when asked', async t => {
  const { sql, sluice, json } = await setup(t)
  await bury(sql, { id: 12, expiresIn: '-1 minute', blocks: true })
  const { payload, history, headers, ...detail } = await json('show', '12')
  assert.equal(payload, null)
  assert.deepEqual(headers, { a: 'b' })
  assert.equal((history as { error: string }[])[0]?.error, 'first')
  assert.deepEqual(
    [detail.attempts, detail.expired, detail.blocks_key, detail.payload_bytes],
    [7, true, true, 11],
  )
  const eventId = '00000000-0000-4000-8000-000000000012'
  assert.equal((await json('show', eventId, '--payload')).payload, '{"n" : 1.0}')
  const text = (await sluice('show', '12')).stdout
  assert.match(text, /^header a +b$/m)
  assert.match(text, /invalid_record +first/)
  const missing = await sluice('show', '13')
  assert.deepEqual([missing.code, missing.stdout], [1, ''])
  assert.match(missing.stderr, /13 is not among/)
})

test('without --yes nothing is changed', async t => {
  const { sql, sluice } = await setup(t)
  await bury(sql, { id: 1 })
  const before = await contents(sql)
  for (const args of [
    ['requeue', '1'],
    ['requeue', '--all'],
    ['discard', '--topic', 'orders'],
  ]) {
    const { code, stdout } = await sluice(...args, '--reason', 'x')
    assert.equal(code, 0)
    assert.match(stdout, /Would (requeue|discard) 1 dead letter[\s\S]*Nothing was changed.*--yes/)
  }
  assert.deepEqual(await contents(sql), before)
})

test('a requeued event is the same event, and is read as a retry', async t => {
  const { sql, json } = await setup(t)
  await bury(sql, { id: 41, expiresIn: '1 hour' })
  const [before] = await sql`select * from outbox.dead_letters`
  const result = await json('requeue', '41', '--yes', '--actor', 'kim')
  assert.deepEqual([result.code, result.requeued], [0, 1])
  const [event, ...more] =
    await sql`select *, payload::text as text, not_before <= now() as due from outbox.events`
  assert.equal(more.length, 0)
  for (const column of [
    'id',
    'lane',
    'event_id',
    'topic',
    'key',
    'event_type',
    'headers',
    'history',
  ]) {
    assert.deepEqual(event?.[column], before?.[column], column)
  }
  assert.deepEqual(event?.created_at, before?.created_at)
  assert.deepEqual(event?.expires_at, before?.expires_at)
  assert.deepEqual(
    [event?.attempts, event?.text, event?.due, event?.last_error],
    [1, '{"n" : 1.0}', true, 'message_too_large: too big'],
  )
  assert.equal((await sql`select from outbox.dead_letters`).length, 0)
  const [audit] = await sql`select actor, action, reason, rows, subject from outbox.audit`
  assert.deepEqual(
    [audit?.actor, audit?.action, audit?.reason, audit?.rows],
    ['kim', 'dead.requeue', null, '1'],
  )
  assert.deepEqual(audit?.subject.events, [41])
})

test('all of 2,500 are requeued in three transactions, each with its audit row', async t => {
  const { sql, sluice, json } = await setup(t)
  await buryMany(sql, 2_500)
  const vague = await sluice('requeue', '--yes', '--reason', 'x')
  assert.equal(vague.code, 2)
  assert.match(vague.stderr, /--all/)
  const unreasoned = await sluice('requeue', '--all', '--yes')
  assert.equal(unreasoned.code, 2)
  assert.match(unreasoned.stderr, /--reason/)
  const result = await json('requeue', '--all', '--yes', '--reason', 'limit raised')
  assert.deepEqual([result.requeued, result.transactions], [2_500, 3])
  const [events] = await sql`
    select count(*)::int as n, count(distinct id)::int as ids, min(attempts) as attempts from outbox.events`
  assert.deepEqual([events?.n, events?.ids, events?.attempts], [2_500, 2_500, 1])
  assert.equal((await sql`select from outbox.dead_letters`).length, 0)
  const audit =
    await sql`select rows, reason, jsonb_array_length(subject -> 'events') as ids from outbox.audit order by id`
  assert.deepEqual(
    audit.map(row => [row.rows, row.reason, row.ids]),
    [
      ['1000', 'limit raised', 1_000],
      ['1000', 'limit raised', 1_000],
      ['500', 'limit raised', 500],
    ],
  )
})

test('an event whose time to live has passed stays, unless that is lifted', async t => {
  const { sql, sluice, json } = await setup(t)
  await bury(sql, { id: 1, expiresIn: '-1 second', reason: 'expired' })
  await bury(sql, { id: 2 })
  assert.match(
    (await sluice('requeue', '1')).stdout,
    /1 event whose time to live has passed would stay: --no-expiry/,
  )
  const refused = await sluice('requeue', '1', '--yes')
  assert.equal(refused.code, 1)
  assert.match(refused.stdout, /Requeued 0 events\.\n1 event .* stayed: --no-expiry lifts it/)
  const bulk = await json('requeue', '--all', '--yes', '--reason', 'x')
  assert.deepEqual([bulk.code, bulk.requeued, bulk.expired], [0, 1, 1])
  assert.equal((await json('requeue', '1', '--yes', '--no-expiry')).requeued, 1)
  const events = await sql`select id, expires_at from outbox.events order by id`
  assert.deepEqual(
    events.map(row => [row.id, row.expires_at]),
    [
      ['1', null],
      ['2', null],
    ],
  )
})

test('ids that are no dead letters are named, and the others are moved', async t => {
  const { sql, sluice, json } = await setup(t)
  await bury(sql, { id: 1 })
  const result = await json('requeue', '1', '2', '--yes')
  assert.deepEqual([result.code, result.requeued, result.not_found], [1, 1, ['2']])
  assert.equal((await sluice('requeue', 'abc')).code, 2)
  assert.equal((await sluice('requeue', '9999999999999999999', '--yes')).code, 2)
  assert.equal((await sluice('requeue', '1', '--topic', 'orders')).code, 2)
})

test('the order of a key is warned of by what was published since and what waits', async t => {
  const { sql, sluice, json } = await setup(t)
  await bury(sql, { id: 10, key: 'overtaken' })
  await bury(sql, { id: 11, key: 'followed' })
  await bury(sql, { id: 12, key: 'held', blocks: true })
  await bury(sql, { id: 13, key: 'alone', minutesAgo: 90 })
  assert.match((await sluice('requeue', '--all')).stdout, /not known: no history is kept/)
  await sql`
    insert into outbox.published (
      id, lane, event_id, topic, key, event_type, headers, created_at, attempts, published_at, kafka_partition, kafka_offset
    )
    select n, 0, gen_random_uuid(), case when n = 24 then 'mail' else 'orders' end, 'overtaken', 'T', '{}', now(), 0,
      case when n = 23 then now() - interval '1 hour' else now() end, 0, n
    from unnest(array[5, 21, 22, 23, 24]) n`
  await sql`
    insert into outbox.events (id, topic, key, event_type) overriding system value values
      (30, 'orders', 'followed', 'T'), (31, 'orders', 'held', 'T'), (32, 'orders', 'held', 'T'), (7, 'orders', 'alone', 'T')`
  const { later_events: later } = await json('requeue', '--all')
  const keys = (later as { keys: Record<string, unknown>[] }).keys
  assert.deepEqual(
    new Set(keys.map(k => `${k.key} ${k.published} ${k.waiting} ${k.held}`)),
    new Set(['overtaken 2 0 false', 'followed 0 1 false', 'held 0 2 true']),
  )
  const { stdout } = await sluice('requeue', '--all')
  assert.match(stdout, /WARNING: the order of 1 key breaks[\s\S]*"overtaken": 2 later events/)
  assert.match(stdout, /WARNING: later events of 1 key wait[\s\S]*"followed": 1 event waiting/)
  assert.match(stdout, /The order of 1 key is kept/)
})

test('discarded events are gone; the audit keeps what they were, but no payload', async t => {
  const { sql, sluice, json } = await setup(t)
  await bury(sql, { id: 1, blocks: true })
  await bury(sql, { id: 2, topic: 'mail', key: null, reason: 'expired' })
  await bury(sql, { id: 3 })
  const unreasoned = await sluice('discard', '1', '--yes')
  assert.equal(unreasoned.code, 2)
  const result = await json('discard', '1', '2', '--yes', '--reason', 'test data')
  assert.deepEqual([result.code, result.discarded], [0, 2])
  const left = await sql`select id from outbox.dead_letters`
  assert.deepEqual([...left], [{ id: '3' }])
  assert.equal((await sql`select from outbox.events`).length, 0)
  const [audit, ...more] = await sql`select action, reason, rows, subject from outbox.audit`
  assert.equal(more.length, 0)
  assert.deepEqual([audit?.action, audit?.reason, audit?.rows], ['dead.discard', 'test data', '2'])
  const event = (id: number, rest: object) => ({
    id,
    event_id: `00000000-0000-4000-8000-00000000000${id}`,
    ...rest,
  })
  assert.deepEqual(audit?.subject.events, [
    event(1, { topic: 'orders', key: 'k', reason: 'message_too_large' }),
    event(2, { topic: 'mail', key: null, reason: 'expired' }),
  ])
})

test('a failure half-way leaves whole transactions, and the same call does the rest', async t => {
  const { sql, json, sluice } = await setup(t)
  await buryMany(sql, 1_500)
  // In the way of the second transaction: an id that is taken.
  await sql`
    insert into outbox.events (id, topic, key, event_type) overriding system value values (1200, 'orders', 'k0', 'T')`
  const failed = await sluice('requeue', '--all', '--yes', '--reason', 'x')
  assert.equal(failed.code, 1)
  assert.equal((await sql`select from outbox.dead_letters`).length, 500)
  assert.equal((await sql`select from outbox.audit`).length, 1)
  await sql`delete from outbox.events where id = 1200`
  assert.equal((await json('requeue', '--all', '--yes', '--reason', 'x')).requeued, 500)
  assert.equal((await sql`select from outbox.events`).length, 1_500)
})

test('a database without the schema ends it with 3 and the cure', async t => {
  const { url } = await createDatabase(t, { migrate: false })
  const { code, stderr } = await runCommand(dead, url, ['dead', 'list'])
  assert.equal(code, 3)
  assert.match(stderr, /sluice migrate/)
})
