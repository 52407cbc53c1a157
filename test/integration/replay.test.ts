import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import * as replay from '../../src/cli/replay.ts'
import type { Sql } from '../../src/postgres/database.ts'
import { runCommand } from '../support/command.ts'
import { createDatabase } from '../support/database.ts'

interface Published {
  readonly id: number
  readonly topic?: string
  readonly key?: string
  readonly partition?: number
  readonly offset?: number
  readonly minutesAgo?: number
  readonly headers?: Record<string, string>
}

async function setup(t: TestContext) {
  const { url, sql } = await createDatabase(t)
  const sluice = (...args: string[]) => runCommand(replay, url, ['replay', ...args])
  const json = async (...args: string[]): Promise<Record<string, unknown>> => {
    const { code, stdout, stderr } = await sluice(...args, '--json')
    assert.equal(stderr, '')
    return { ...(JSON.parse(stdout) as Record<string, unknown>), code }
  }
  return { url, sql, sluice, json }
}

function uuid(id: number): string {
  return `00000000-0000-4000-8000-${String(id).padStart(12, '0')}`
}

/** Puts events where a confirm would have put them. */
async function publish(sql: Sql, ...events: readonly Published[]): Promise<void> {
  for (const event of events) {
    const { id, topic = 'orders', key = 'k', partition = 0, offset = id } = event
    const { minutesAgo = 5, headers = { a: 'b' } } = event
    await sql`
      insert into outbox.published (
        id, lane, event_id, topic, key, event_type, headers, payload, created_at, attempts, published_at,
        kafka_partition, kafka_offset
      ) values (
        ${id}, 0, ${uuid(id)}, ${topic}, ${key}, 'T', ${sql.json(headers)}, ${`{"n" : ${id}}`}::text::json, now(), 0,
        now() - ${minutesAgo} * interval '1 minute', ${partition}, ${offset}
      )`
  }
}

/** The originals of what was written to the outbox, in its order. */
async function replayed(sql: Sql): Promise<number[]> {
  const rows =
    await sql`select headers ->> 'sluice-replay-of' as original from outbox.events order by id`
  return rows.map(({ original }) => Number(original.slice(-12)))
}

test('replayed events are new events that name their originals', async t => {
  const { sql, json } = await setup(t)
  await publish(sql, { id: 7 }, { id: 8, topic: 'mail' })
  await sql`select setval(pg_get_serial_sequence('outbox.events', 'id'), 100)`
  const result = await json(
    '--id',
    '7',
    '--yes',
    '--actor',
    'kim',
    '--reason',
    'lost by a consumer',
  )
  assert.deepEqual([result.code, result.replayed, result.left], [0, 1, 0])
  const [event, ...more] = await sql`select *, payload::text as text from outbox.events`
  assert.equal(more.length, 0)
  assert.equal(event?.id, '101')
  assert.notEqual(event?.event_id, uuid(7))
  assert.deepEqual(event?.headers, { a: 'b', 'sluice-replay-of': uuid(7) })
  assert.deepEqual(
    [event?.topic, event?.key, event?.event_type, event?.text, event?.attempts, event?.not_before],
    ['orders', 'k', 'T', '{"n" : 7}', 0, null],
  )
  const [audit] = await sql`select actor, action, reason, rows, subject from outbox.audit`
  assert.deepEqual(
    [audit?.actor, audit?.action, audit?.reason, audit?.rows, audit?.subject.new_ids],
    ['kim', 'replay', 'lost by a consumer', '1', [101]],
  )
})

test('events are picked by id, event id, key or topic and time, and sent to another topic', async t => {
  const { sql, json } = await setup(t)
  await publish(
    sql,
    { id: 1, minutesAgo: 90 },
    { id: 2, minutesAgo: 30, key: 'other' },
    { id: 3, minutesAgo: 10 },
    { id: 4, topic: 'mail' },
    { id: 5, offset: 0, minutesAgo: 2 * 24 * 60 },
  )
  const matching = async (...args: string[]) => {
    const { first } = await json(...args)
    return (first as { id: string }[]).map(({ id }) => id).join()
  }
  assert.equal(await matching('--id', '3', '4', '5'), '5,3,4')
  assert.equal(await matching('--event-id', uuid(3)), '3')
  assert.equal(await matching('--event-id', uuid(5)), '', 'older than the default window')
  assert.equal(await matching('--event-id', uuid(5), '--since', '7d'), '5')
  assert.equal(await matching('--topic', 'orders', '--key', 'k'), '1,3')
  assert.equal(await matching('--topic', 'orders', '--since', '1h'), '2,3')
  assert.equal(await matching('--topic', 'orders', '--since', '2h', '--until', '20m'), '1,2')
  assert.equal((await json('--id', '3', '--to-topic', 'copies', '--yes')).replayed, 1)
  assert.deepEqual([...(await sql`select topic from outbox.events`)], [{ topic: 'copies' }])
})

test('the original order is that of the offsets, whatever ids and times say', async t => {
  const { sql, json } = await setup(t)
  await publish(
    sql,
    { id: 1, offset: 30, minutesAgo: 10 },
    { id: 2, offset: 10, minutesAgo: 10 },
    { id: 3, offset: 20, minutesAgo: 10 },
    { id: 4, offset: 40, minutesAgo: 11 },
    { id: 5, partition: 1, offset: 5, minutesAgo: 9 },
    { id: 6, partition: 1, offset: 4, minutesAgo: 20 },
  )
  await json('--topic', 'orders', '--since', '1h', '--yes')
  const order = await replayed(sql)
  assert.deepEqual(
    order.filter(id => id < 5),
    [2, 3, 1, 4],
  )
  assert.deepEqual(
    order.filter(id => id >= 5),
    [6, 5],
  )
  assert.equal(order[0], 6, 'across partitions by time')
})

test('without --yes nothing is changed, and it says what would be', async t => {
  const { sql, sluice } = await setup(t)
  await publish(sql, { id: 1 }, { id: 2, headers: { 'sluice-replay-of': uuid(1) } })
  const { code, stdout } = await sluice('--topic', 'orders', '--since', '1h')
  assert.equal(code, 0)
  assert.match(stdout, /^Would replay 2 events/)
  assert.match(stdout, /WARNING: among them are replays: 1 event/)
  assert.match(stdout, /Nothing was changed.*--yes/)
  assert.equal((await sql`select from outbox.events`).length, 0)
  assert.equal((await sql`select from outbox.audit`).length, 0)
})

test('2,500 events are replayed in order in three transactions', async t => {
  const { sql, json } = await setup(t)
  await sql`
    insert into outbox.published (
      id, lane, event_id, topic, key, event_type, headers, created_at, attempts, published_at, kafka_partition, kafka_offset
    )
    select n, 0, ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'orders', 'k', 'T', '{}', now(), 0,
      now() - interval '1 minute', 0, 5000 - n
    from generate_series(1, 2500) n`
  const result = await json('--topic', 'orders', '--since', '1h', '--yes')
  assert.equal(result.replayed, 2_500)
  assert.deepEqual(
    await replayed(sql),
    Array.from({ length: 2_500 }, (_, n) => 2_500 - n),
  )
  const audit =
    await sql`select rows, subject ->> 'run' = ${String(result.run)} as same from outbox.audit order by id`
  assert.deepEqual(
    audit.map(({ rows, same }) => [rows, same]),
    [
      ['1000', true],
      ['1000', true],
      ['500', true],
    ],
  )
})

test('a run that stopped half-way goes on where it stopped, without what came later', async t => {
  const { sql, sluice, json } = await setup(t)
  await sql`
    insert into outbox.published (
      id, lane, event_id, topic, key, event_type, headers, created_at, attempts, published_at, kafka_partition, kafka_offset
    )
    select n, 0, ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'orders', 'k', 'T',
      -- Not an object: the outbox refuses it, as it would refuse nothing else.
      case when n = 1500 then '"broken"' else '{}' end::jsonb, now(), 0, now() - interval '1 minute', 0, n
    from generate_series(1, 1500) n`
  const failed = await sluice('--topic', 'orders', '--since', '1h', '--yes')
  assert.equal(failed.code, 1)
  const run = /--resume ([\da-f-]{36})/.exec(failed.stderr)?.[1] ?? ''
  assert.equal((await replayed(sql)).length, 1_000)
  await sql`update outbox.published set headers = '{}' where id = 1500`
  await publish(sql, { id: 2_000, minutesAgo: 0 })
  const { written_before: before, matching } = await json('--resume', run)
  assert.deepEqual([before, matching], [1_000, 500])
  assert.equal((await json('--resume', run, '--yes')).replayed, 500)
  assert.deepEqual(
    await replayed(sql),
    Array.from({ length: 1_500 }, (_, n) => n + 1),
  )
  assert.equal((await json('--resume', run, '--yes')).matching, 0)
  assert.equal((await sluice('--resume', uuid(1))).code, 2)
})

test('a rate spreads the writing over time', async t => {
  const { sql, json } = await setup(t)
  await publish(sql, { id: 1 }, { id: 2 }, { id: 3 }, { id: 4 }, { id: 5 })
  await json('--topic', 'orders', '--since', '1h', '--rate', '2/s', '--yes')
  assert.deepEqual(await replayed(sql), [1, 2, 3, 4, 5])
  const audit = await sql`select rows, at from outbox.audit order by id`
  assert.deepEqual(
    audit.map(({ rows }) => rows),
    ['2', '2', '1'],
  )
  assert.ok(audit[2]?.at - audit[0]?.at >= 1_900, `${audit[2]?.at - audit[0]?.at} ms`)
})

test('what is not said clearly is refused', async t => {
  const { sql, sluice } = await setup(t)
  const empty = await sluice('--id', '1')
  assert.equal(empty.code, 2)
  assert.match(empty.stderr, /SLUICE_RETENTION/)
  await publish(sql, { id: 1 }, { id: 2 })
  for (const [args, message] of [
    ['', /give --id/],
    ['--topic orders', /--since or --key/],
    ['--key k', /give --id/],
    ['--id 1 --topic orders', /give one of/],
    ['--topic orders --since yesterday', /how long ago/],
    ['--topic orders --since 2026-01-01T00:00', /how long ago/],
    ['--id 1 --to-topic __x', /reserved/],
    ['--id 1 --rate 0', /per second/],
    ['--event-id 1', /UUID/],
    ['--topic orders --since 1h --limit 1', /more than 1 events match/],
  ] as const) {
    const { code, stderr } = await sluice(...args.split(' ').filter(Boolean), '--yes')
    assert.equal(code, 2, args)
    assert.match(stderr, message)
  }
  assert.equal((await sql`select from outbox.events`).length, 0)
  const none = await sluice('--id', '99')
  assert.deepEqual([none.code, none.stdout.startsWith('No such event')], [0, true])
})
