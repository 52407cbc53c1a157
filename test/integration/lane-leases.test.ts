import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FailedEvent, PublishedEvent, Reservation } from '../../src/outbox/adapter.ts'
import type { Sql } from '../../src/postgres/database.ts'
import { openAdapter } from '../support/adapter.ts'
import { createDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'

const deadlineMs = 10_000

/** `count` events of as many keys, then as many again of the same keys. */
async function insertPairs(sql: Sql, count: number): Promise<void> {
  await sql`
    insert into outbox.events (topic, key, event_type, payload)
    select 't', 'k' || (n % ${count}::int), 'T', to_json(n) from generate_series(0, ${count * 2 - 1}::int) n`
}

const published = ({ events }: Reservation): PublishedEvent[] =>
  events.map(event => ({ event, partition: 0, offset: '1' }))

const failed = (
  event: Reservation['events'][number],
  kind: FailedEvent['kind'],
  retryDelayMs = 0,
): FailedEvent => ({ event, kind, reason: 'refused', error: 'no', retryDelayMs })

test('one replica holds all lanes; a second one gets half of them without waiting for leases to end', async t => {
  const { url } = await createDatabase(t)
  const first = openAdapter(t, url, { reserveMs: 60_000 })
  await until(async () => first.holding() === 64, { deadlineMs, what: 'the first holds all' })
  const second = openAdapter(t, url, { reserveMs: 60_000 })
  await until(async () => first.holding() === 32 && second.holding() === 32, {
    deadlineMs,
    what: 'both hold 32 lanes',
  })
})

test('a stopped replica leaves its lanes free at once', async t => {
  const { url, sql } = await createDatabase(t)
  const first = openAdapter(t, url, { reserveMs: 60_000 })
  await until(async () => first.holding() === 64, { deadlineMs, what: 'the first holds all' })
  await first.adapter.stop()
  const [row] = await sql`select count(*)::int as free from outbox.lanes where owner is null`
  assert.equal(row?.free, 64)
  assert.equal((await sql`select 1 from outbox.replicas`).length, 0)
})

test('the lanes of a killed replica are taken over after its lease, under a higher epoch', async t => {
  const { url, sql } = await createDatabase(t)
  const first = openAdapter(t, url, { reserveMs: 1_500 })
  await until(async () => first.holding() === 64, { deadlineMs, what: 'the first holds all' })
  await first.kill()
  const second = openAdapter(t, url, { reserveMs: 1_500 })
  await until(async () => second.holding() === 64, { deadlineMs, what: 'the second holds all' })
  const rows = await sql`select distinct epoch, owner from outbox.lanes`
  assert.deepEqual(
    rows.map(row => [row.epoch, row.owner]),
    [['2', second.replica]],
  )
})

test('a replica whose lanes were taken over confirms nothing, and the taker reads the same events', async t => {
  const { url, sql } = await createDatabase(t)
  await insertPairs(sql, 10)
  const zombie = openAdapter(t, url, { reserveMs: 60_000 })
  const reservation = await zombie.reserve()
  assert.equal(reservation.events.length, 20)
  // What a pause beyond the lease does, without the wait: the lease is over and someone else has taken the lanes.
  await sql`update outbox.lanes set owner = 'other', epoch = epoch + 1`
  const confirmed = await zombie.adapter.confirm(reservation, published(reservation))
  assert.deepEqual(confirmed, { settled: 0, fenced: 20 })
  const failures = reservation.events.map(event => failed(event, 'dead'))
  const refused = await zombie.adapter.confirmFailed(reservation, failures)
  assert.deepEqual(refused, { settled: 0, fenced: 20 })
  const [rows] =
    await sql`select count(*)::int as waiting, sum(attempts)::int as attempts from outbox.events`
  assert.deepEqual({ ...rows }, { waiting: 20, attempts: 0 })
})

test('two reservations at once never share a key, and each has its keys from their first event on', async t => {
  const { url, sql } = await createDatabase(t)
  await insertPairs(sql, 200)
  const { adapter, reserve } = openAdapter(t, url)
  const one = await reserve(100)
  const two = await reserve(100)
  const keysOf = ({ events }: Reservation) => new Set(events.map(event => event.key))
  const rest = await reserve(100_000)
  const all = [one, two, rest].flatMap(reservation => [...keysOf(reservation)])
  assert.equal(new Set(all).size, all.length, 'no key is in two of them')
  for (const { events } of [one, two, rest]) {
    const ids = new Map<string | null, bigint>()
    for (const { key, id } of events) {
      assert.ok(BigInt(id) > (ids.get(key) ?? 0n))
      ids.set(key, BigInt(id))
    }
  }
  adapter.release(one)
  adapter.release(two)
  adapter.release(rest)
  const again = await reserve(100_000)
  assert.equal(
    again.events.length,
    400,
    'released events are reserved again, and with them all others',
  )
})

test('a retry holds its key until it is settled; other keys go on', async t => {
  const { url, sql } = await createDatabase(t)
  await insertPairs(sql, 2)
  const { adapter, reserve } = openAdapter(t, url)
  const first = await reserve()
  const head = first.events.find(event => event.key === 'k0')
  assert.ok(head)
  await adapter.confirmFailed(first, [failed(head, 'retry', 60_000)])
  adapter.release(first)
  const meanwhile = await reserve()
  assert.deepEqual(new Set(meanwhile.events.map(event => event.key)), new Set(['k1']))
  await adapter.confirm(meanwhile, published(meanwhile))
  adapter.release(meanwhile)
  await sql`update outbox.events set not_before = now() where attempts > 0`
  const due = await reserve()
  assert.deepEqual(
    due.events.map(event => [event.id, event.attempts]),
    [[head.id, 1]],
  )
  await adapter.confirm(due, published(due))
  adapter.release(due)
  const follower = await reserve()
  assert.deepEqual(
    follower.events.map(event => event.key),
    ['k0'],
  )
})

test('recording the same failure twice spends one attempt', async t => {
  const { url, sql } = await createDatabase(t)
  await insertPairs(sql, 1)
  const { adapter, reserve } = openAdapter(t, url)
  const reservation = await reserve()
  const failures = reservation.events.slice(0, 1).map(event => failed(event, 'retry'))
  await adapter.confirmFailed(reservation, failures)
  await adapter.confirmFailed(reservation, failures)
  const rows = await sql`select attempts from outbox.events order by id`
  assert.deepEqual(
    rows.map(row => row.attempts),
    [1, 0],
  )
})

test('an event with a lower id that commits late is read all the same', async t => {
  const { url, sql } = await createDatabase(t)
  const { adapter, reserve } = openAdapter(t, url)
  const late = await sql.reserve()
  try {
    await late`begin`
    await late`insert into outbox.events (topic, key, event_type) values ('t', 'k', 'late')`
    await sql`insert into outbox.events (topic, key, event_type) values ('t', 'k', 'early')`
    const first = await reserve()
    assert.deepEqual(
      first.events.map(event => event.eventType),
      ['early'],
    )
    await adapter.confirm(first, published(first))
    adapter.release(first)
    await late`commit`
  } finally {
    late.release()
  }
  const second = await reserve()
  assert.deepEqual(
    second.events.map(event => event.eventType),
    ['late'],
  )
})

test('a reservation is bounded by bytes, but never empty for a large event', async t => {
  const { url, sql } = await createDatabase(t)
  await sql`
    insert into outbox.events (topic, key, event_type, payload)
    select 't', 'k', 'T', to_json(repeat('x', 1000000)) from generate_series(1, 10)`
  const { adapter } = openAdapter(t, url)
  const reserve = (bytesMax: number) =>
    adapter.reserveNewEvents(100, 2_000, { exceptTopics: [], bytesMax })
  let some: Reservation | null = null
  const reserved = async () => {
    some = await reserve(3_500_000)
    return some !== null
  }
  await until(reserved, { deadlineMs, what: 'reserved' })
  assert.equal((some as unknown as Reservation).events.length, 4)
  adapter.release(some as unknown as Reservation)
  const one = await reserve(10)
  assert.equal(one?.events.length, 1)
})

test('topics that are shut are left out, and only they', async t => {
  const { url, sql } = await createDatabase(t)
  await sql`insert into outbox.events (topic, key, event_type) values ('shut', 'k', 'T'), ('open', 'k', 'T')`
  const { adapter } = openAdapter(t, url)
  let found: Reservation | null = null
  const options = { exceptTopics: ['shut', 'another'], bytesMax: 1_000 }
  const reserved = async () => {
    found = await adapter.reserveNewEvents(10, 2_000, options)
    return found !== null
  }
  await until(reserved, { deadlineMs, what: 'reserved' })
  assert.deepEqual(
    (found as unknown as Reservation).events.map(event => event.topic),
    ['open'],
  )
})
