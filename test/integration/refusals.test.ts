import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FailedEvent } from '../../src/outbox/adapter.ts'
import type { OutboxEvent } from '../../src/outbox/event.ts'
import type { Sql } from '../../src/postgres/database.ts'
import { openAdapter, type TestAdapter } from '../support/adapter.ts'
import { createDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 15_000
const OPTIONS = { exceptTopics: [], bytesMax: 8_000_000 }

function refused(event: OutboxEvent, more: Partial<FailedEvent> = {}): FailedEvent {
  return { event, kind: 'retry', reason: 'no', error: 'not this way', retryDelayMs: 0, ...more }
}

async function write(sql: Sql, key: string, payload: string, topic = 't'): Promise<void> {
  await sql`insert into outbox.events (topic, key, event_type, payload) values (${topic}, ${key}, 'E', ${payload}::text::json)`
}

/** Reserves until every payload that is wanted was seen, confirming all; returns them in the order they came. */
async function drain({ adapter, reserve }: TestAdapter, count: number): Promise<string[]> {
  const seen: string[] = []
  while (seen.length < count) {
    const reservation = await reserve()
    seen.push(...reservation.events.map(({ payload }) => String(payload)))
    await adapter.confirm(
      reservation,
      reservation.events.map(event => ({ event, partition: 0, offset: '0' })),
    )
    adapter.release(reservation)
  }
  return seen
}

test('each refusal is kept, oldest first, and goes with the event to the dead letters', async t => {
  const { url, sql } = await createDatabase(t)
  const { adapter, reserve } = openAdapter(t, url)
  await write(sql, 'k', '1')
  for (const error of ['first', 'second']) {
    const reservation = await reserve()
    await adapter.confirmFailed(
      reservation,
      reservation.events.map(e => refused(e, { error })),
    )
    adapter.release(reservation)
  }
  const last = await reserve()
  const dead = last.events.map(e => refused(e, { kind: 'dead', reason: 'final', error: 'third' }))
  await adapter.confirmFailed(last, dead)
  const [row] = await sql`select attempts, reason, error, history from outbox.dead_letters`
  assert.equal(row?.attempts, 3)
  assert.equal(row?.reason, 'final')
  const history = row?.history as { attempt: number; error: string; reason: string; at: string }[]
  assert.deepEqual(
    history.map(({ attempt, reason, error }) => [attempt, reason, error]),
    [
      [1, 'no', 'first'],
      [2, 'no', 'second'],
      [3, 'final', 'third'],
    ],
  )
  assert.ok(history.every(({ at }) => !Number.isNaN(Date.parse(at))))
})

test('a history holds the newest twenty refusals', async t => {
  const { url, sql } = await createDatabase(t)
  const { adapter, reserve } = openAdapter(t, url)
  await write(sql, 'k', '1')
  for (let n = 1; n <= 23; n++) {
    const reservation = await reserve()
    await adapter.confirmFailed(
      reservation,
      reservation.events.map(e => refused(e)),
    )
    adapter.release(reservation)
  }
  const [row] = await sql`
    select history->0->>'attempt' as first, history->-1->>'attempt' as last, jsonb_array_length(history) as kept
    from outbox.events`
  assert.deepEqual(row, { first: '4', last: '23', kept: 20 })
})

test('behind a dead letter that blocks, its key waits and others go on, until it is discarded', async t => {
  const { url, sql } = await createDatabase(t)
  const replica = openAdapter(t, url)
  const { adapter, reserve } = replica
  await write(sql, 'blocked', '1')
  const reservation = await reserve()
  const dead = reservation.events.map(e => refused(e, { kind: 'dead', blocksKey: true }))
  await adapter.confirmFailed(reservation, dead)
  adapter.release(reservation)
  await write(sql, 'blocked', '2')
  await write(sql, 'other', '3')
  await write(sql, 'blocked', '4', 'another topic')
  assert.deepEqual((await drain(replica, 2)).sort(), ['3', '4'])
  assert.equal(await adapter.reserveNewEvents(10, 60_000, OPTIONS), null)
  await sql`delete from outbox.dead_letters`
  assert.deepEqual(await drain(replica, 1), ['2'])
})

test('a blocking dead letter that is requeued under its own id goes out before what waited for it', async t => {
  const { url, sql } = await createDatabase(t)
  const replica = openAdapter(t, url)
  const { adapter, reserve } = replica
  await write(sql, 'blocked', '1')
  const reservation = await reserve()
  const dead = reservation.events.map(e => refused(e, { kind: 'dead', blocksKey: true }))
  await adapter.confirmFailed(reservation, dead)
  adapter.release(reservation)
  await write(sql, 'blocked', '2')
  await write(sql, 'blocked', '3')
  // The mark of the lane is far beyond its id by then.
  for (let n = 0; n < 300; n++) await write(sql, 'other', '0')
  await drain(replica, 300)
  const [{ id }] = (await sql`select id::text from outbox.dead_letters`) as unknown as [
    { id: string },
  ]
  const passed = async () =>
    (
      await sql`select from outbox.lanes l join outbox.dead_letters d using (lane) where l.low_water > d.id`
    ).length === 1
  await until(passed, { deadlineMs: DEADLINE_MS, what: 'the mark has passed its id' }).catch(
    () => {},
  )
  await sql`
    with dead as (delete from outbox.dead_letters returning *)
    insert into outbox.events (id, topic, key, event_type, payload, attempts)
    overriding system value
    select id, topic, key, event_type, payload, 1 from dead`
  assert.deepEqual(await drain(replica, 3), ['1', '2', '3'])
  assert.equal(typeof id, 'string')
})

test('dead letters are published too, to their topic, with their reason and without what was too large', async t => {
  const { url, sql } = await createDatabase(t)
  const { adapter, reserve } = openAdapter(t, url, { deadLetterTopic: 'graves' })
  await sql`
    insert into outbox.events (topic, key, event_type, payload, headers)
    values ('t', 'k', 'E', '{"n": 1}', '{"source": "shop", "bad": 5, "sluice-partition": "9"}')`
  await write(sql, 'large', '2')
  const reservation = await reserve()
  const dead = reservation.events.map(e =>
    refused(e, { kind: 'dead', reason: e.key === 'large' ? 'message_too_large' : 'refused' }),
  )
  assert.equal((await adapter.confirmFailed(reservation, dead)).settled, 2)
  adapter.release(reservation)
  const rows = await sql`
    select topic, key, event_type, payload::text as payload, headers - 'sluice-dead-event-id' as headers
    from outbox.events order by key`
  const [small, large] = rows
  assert.equal(rows.length, 2)
  assert.deepEqual([small?.topic, small?.event_type, small?.payload], ['graves', 'E', '{"n": 1}'])
  const original = reservation.events.find(({ key }) => key === 'k')
  assert.deepEqual(small?.headers, {
    source: 'shop',
    'sluice-dead-id': original?.id,
    'sluice-dead-topic': 't',
    'sluice-dead-reason': 'refused',
    'sluice-dead-error': 'not this way',
    'sluice-dead-payload': 'as it was',
  })
  assert.equal(large?.payload, null)
  assert.equal(large?.headers['sluice-dead-payload'], 'left out')

  const again = await reserve()
  await adapter.confirmFailed(
    again,
    again.events.map(e => refused(e, { kind: 'dead' })),
  )
  assert.equal(
    (await sql`select from outbox.events`).length,
    0,
    'a dead letter of that topic ends there',
  )
  assert.equal((await sql`select from outbox.dead_letters`).length, 4)
})

test('a lane or a topic that is paused is not read, the rest is, and resuming lets it go on', async t => {
  const { url, sql } = await createDatabase(t)
  await write(sql, 'a', '1')
  const lane = await laneOf(sql, 'a')
  await sql`insert into outbox.pauses (kind, name, reason, paused_by) values ('lane', ${lane}, 'test', 'test')`
  await sql`insert into outbox.pauses (kind, name, reason, paused_by) values ('topic', 'quiet', 'test', 'test')`
  const replica = openAdapter(t, url)
  const elsewhere = await keyOutside(sql, lane)
  await write(sql, elsewhere, '2', 'quiet')
  await write(sql, elsewhere, '3')
  assert.deepEqual(await drain(replica, 1), ['3'])
  await sql`delete from outbox.pauses where kind = 'topic'`
  assert.deepEqual(await drain(replica, 1), ['2'])
  await sql`delete from outbox.pauses`
  assert.deepEqual(await drain(replica, 1), ['1'])
})

async function keyOutside(sql: Sql, lane: number): Promise<string> {
  const [row] = await sql<{ key: string }[]>`
    select 'k' || n as key from generate_series(1, 200) n
    where (hashtextextended('k' || n, 0) & 63)::int <> ${lane} limit 1`
  return row?.key ?? ''
}

test('of a batch of refusals whose lanes were partly lost, the answer names those that were recorded', async t => {
  const { url, sql } = await createDatabase(t)
  const { adapter, reserve } = openAdapter(t, url, { reserveMs: 60_000 })
  await write(sql, 'a', '1')
  await write(sql, await keyOutside(sql, await laneOf(sql, 'a')), '2')
  const reservation = await reserve()
  assert.equal(reservation.events.length, 2)
  const [kept] = reservation.events.filter(({ key }) => key !== 'a')
  await sql`update outbox.lanes set owner = 'another', epoch = epoch + 1 where lane = ${await laneOf(sql, 'a')}`
  const result = await adapter.confirmFailed(
    reservation,
    reservation.events.map(e => refused(e)),
  )
  assert.deepEqual(result, { settled: 1, fenced: 1, ids: new Set([kept?.id]) })
})

async function laneOf(sql: Sql, key: string): Promise<number> {
  const [row] = await sql<
    { lane: number }[]
  >`select (hashtextextended(${key}, 0) & 63)::int as lane`
  return row?.lane ?? -1
}

test('a payload too large for any request is not read, and its event is marked so', async t => {
  const { url, sql } = await createDatabase(t)
  const { adapter, reserve } = openAdapter(t, url)
  await sql`
    insert into outbox.events (topic, key, event_type, payload_bytes)
    select 't', 'k', 'E', decode(repeat('00', 100000001), 'hex')`
  const reservation = await reserve()
  const [event] = reservation.events
  assert.deepEqual([event?.oversizedBytes, event?.payload], [100_000_001, null])
  adapter.release(reservation)
})
