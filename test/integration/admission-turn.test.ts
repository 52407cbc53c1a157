import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { type TurnReport, takeTurn } from '../../src/admission/room-turn.ts'
import type { Sql } from '../../src/postgres/database.ts'
import {
  CHANGES,
  EVENT,
  endLeases,
  factsOf,
  joinsOf,
  lastSeen,
  makeRoom,
  openAdmission,
  putSessions,
  roomOf,
  statusesOf,
  turn,
} from '../support/admission-rooms.ts'
import { toldTo } from '../support/task-room.ts'
import { until } from '../support/until.ts'

const NOTHING: TurnReport = {
  numbered: 0,
  unknown: 0,
  left: 0,
  expired: 0,
  granted: 0,
  abandoned: 0,
  more: false,
}

test('joins get their places by the order of the log, and the first get in', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 2 })
  const ids = await putSessions(parts.sql, 5)
  const joins = joinsOf(ids, 40)
  const report = await turn(parts, { joins: [...joins].reverse() })
  assert.deepEqual(report, { ...NOTHING, numbered: 5, granted: 2 })
  const facts = await factsOf(parts.sql, ids)
  assert.deepEqual(
    facts.map(({ seq, log_offset, status }) => [seq, log_offset, status]),
    [
      [1, 40, 'ACTIVE'],
      [2, 41, 'ACTIVE'],
      [3, 42, 'WAITING'],
      [4, 43, 'WAITING'],
      [5, 44, 'WAITING'],
    ],
  )
  assert.deepEqual(await roomOf(parts.sql), { active: 2, last_seq: 5, granted: 2, freed: 0 })
})

test('joins that were read before change nothing when they are read again', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 1 })
  const ids = await putSessions(parts.sql, 3)
  await turn(parts, { joins: joinsOf(ids) })
  const before = [await factsOf(parts.sql, ids), await roomOf(parts.sql)].map(rounded)
  const versions = () =>
    parts.sql`select xmin::text, ctid::text from admission.sessions order by 1, 2`
  const written = await versions()
  assert.deepEqual(await turn(parts, { joins: joinsOf(ids) }), NOTHING)
  // The relay may have sent one twice.
  assert.deepEqual(await turn(parts, { joins: [...joinsOf(ids, 9), ...joinsOf(ids)] }), NOTHING)
  assert.deepEqual([await factsOf(parts.sql, ids), await roomOf(parts.sql)].map(rounded), before)
  assert.deepEqual(await versions(), written)
})

/** Without what goes on by itself. */
function rounded(facts: unknown): unknown {
  return JSON.parse(
    JSON.stringify(facts, (name, value) => (name.endsWith('_ms') ? undefined : value)),
  )
}

test('a join that is there twice gets one place, the first', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 0 })
  const [a, b] = await putSessions(parts.sql, 2)
  const joins = [...joinsOf([a!, b!], 10), ...joinsOf([a!], 3), ...joinsOf([b!], 20)]
  assert.equal((await turn(parts, { joins })).numbered, 2)
  const facts = await factsOf(parts.sql, [a!, b!])
  assert.deepEqual(
    facts.map(({ seq, log_offset }) => [seq, log_offset]),
    [
      [1, 3],
      [2, 11],
    ],
  )
  assert.equal((await roomOf(parts.sql)).last_seq, 2)
})

test('joins of unknown sessions, of other events and of no room are counted, and nothing else', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 9 })
  await makeRoom(parts.sql, { eventId: 'other', capacity: 9 })
  const [mine] = await putSessions(parts.sql, 1)
  const [theirs] = await putSessions(parts.sql, 1, { eventId: 'other' })
  const joins = joinsOf([randomUUID(), theirs!, 'no uuid', mine!, randomUUID()])
  const report = await turn(parts, { joins, leaving: [theirs!, randomUUID(), 'no uuid'] })
  assert.deepEqual(report, { ...NOTHING, numbered: 1, unknown: 4, granted: 1 })
  assert.equal((await factsOf(parts.sql, [mine!]))[0]?.seq, 1)
  assert.deepEqual(await statusesOf(parts.sql, [theirs!]), ['WAITING'])
  for (const eventId of ['none', 'a\0b', '\ud800']) {
    assert.deepEqual(await turn(parts, { eventId, joins }), { ...NOTHING, unknown: 5 })
  }
})

test('a place that is freed is given in the same transaction', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 2 })
  const ids = await putSessions(parts.sql, 5)
  await turn(parts, { joins: joinsOf(ids) })
  await endLeases(parts.sql, [ids[1]!])
  const report = await turn(parts, { leaving: [ids[0]!] })
  assert.deepEqual(report, { ...NOTHING, left: 1, expired: 1, granted: 2 })
  assert.deepEqual(await statusesOf(parts.sql, ids), [
    'LEFT',
    'EXPIRED',
    'ACTIVE',
    'ACTIVE',
    'WAITING',
  ])
  assert.deepEqual(await roomOf(parts.sql), { active: 2, last_seq: 5, granted: 4, freed: 2 })
  assert.ok((await factsOf(parts.sql, ids)).every(({ ended }, n) => ended === n < 2))
  // The ends are final.
  const again = await turn(parts, { leaving: ids.slice(0, 2), joins: joinsOf(ids, 90) })
  assert.deepEqual(again, NOTHING)
})

test('a turn with nothing to do writes nothing', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 1 })
  const ids = await putSessions(parts.sql, 3)
  await turn(parts, { joins: joinsOf(ids), changesTopic: CHANGES })
  const versions = () => parts.sql`
    select ctid::text from admission.sessions union all select ctid::text from admission.rooms order by 1`
  const before = await versions()
  assert.deepEqual(await turn(parts, { changesTopic: CHANGES }), NOTHING)
  assert.deepEqual(await versions(), before)
  assert.equal((await toldTo(parts.sql, CHANGES)).length, 1)
})

test('whoever leaves before the join is read never gets a place in the order', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 1 })
  const ids = await putSessions(parts.sql, 3)
  assert.equal((await turn(parts, { leaving: [ids[0]!] })).left, 1)
  const report = await turn(parts, { joins: joinsOf(ids), leaving: [ids[1]!] })
  assert.deepEqual(report, { ...NOTHING, numbered: 2, left: 1, granted: 1 })
  const facts = await factsOf(parts.sql, ids)
  assert.deepEqual(
    facts.map(({ seq, log_offset, status }) => [seq, log_offset, status]),
    [
      [null, 0, 'LEFT'],
      [1, 1, 'LEFT'],
      [2, 2, 'ACTIVE'],
    ],
  )
})

test('who was not seen when the turn comes is passed over, and nobody behind the last place given', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 2 })
  const ids = await putSessions(parts.sql, 7)
  await lastSeen(parts.sql, [ids[0]!, ids[2]!, ids[4]!], 121_000)
  const report = await turn(parts, { joins: joinsOf(ids) })
  assert.deepEqual(report, { ...NOTHING, numbered: 7, granted: 2, abandoned: 2 })
  assert.deepEqual(await statusesOf(parts.sql, ids), [
    'ABANDONED',
    'ACTIVE',
    'ABANDONED',
    'ACTIVE',
    'WAITING',
    'WAITING',
    'WAITING',
  ])
  // Free places pass over whoever is there, also when there is nobody for them.
  await lastSeen(parts.sql, ids.slice(5), 121_000)
  await parts.sql`update admission.rooms set capacity = 9`
  assert.deepEqual(await turn(parts), { ...NOTHING, abandoned: 3 })
})

test('where the room has no grace, nobody is passed over', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 2, waitGraceMs: null })
  const ids = await putSessions(parts.sql, 3, { unseenMs: 1e9 })
  assert.deepEqual(await turn(parts, { joins: joinsOf(ids) }), {
    ...NOTHING,
    numbered: 3,
    granted: 2,
  })
})

test('who is let in and does not come loses the place after the time for it', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { claimMs: 1_000, leaseMs: 600_000 })
  const ids = await putSessions(parts.sql, 2)
  await turn(parts, { joins: joinsOf(ids) })
  const [first] = await factsOf(parts.sql, ids)
  assert.ok(first!.lease_ms! <= 1_000 && !first!.claimed)
  await until(async () => (await turn(parts)).expired === 1, {
    deadlineMs: 5_000,
    what: 'the lease is over',
  })
  assert.deepEqual(await statusesOf(parts.sql, ids), ['EXPIRED', 'ACTIVE'])
})

test('a lower capacity evicts nobody, and lets nobody in before it is true', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 3 })
  const ids = await putSessions(parts.sql, 6)
  await turn(parts, { joins: joinsOf(ids) })
  await parts.sql`update admission.rooms set capacity = 1`
  assert.deepEqual(await turn(parts), NOTHING)
  assert.equal((await roomOf(parts.sql)).active, 3)
  assert.equal((await turn(parts, { leaving: [ids[0]!] })).granted, 0)
  assert.equal((await turn(parts, { leaving: [ids[1]!] })).granted, 0)
  assert.equal((await turn(parts, { leaving: [ids[2]!] })).granted, 1)
  assert.equal((await roomOf(parts.sql)).active, 1)
})

test('a paused room lets nobody in; leases still end', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 1 })
  const ids = await putSessions(parts.sql, 3)
  await turn(parts, { joins: joinsOf(ids.slice(0, 1)) })
  await parts.sql`update admission.rooms set paused = true`
  await endLeases(parts.sql, ids)
  const report = await turn(parts, { joins: joinsOf(ids) })
  assert.deepEqual(report, { ...NOTHING, numbered: 2, expired: 1 })
  await parts.sql`update admission.rooms set paused = false`
  assert.equal((await turn(parts)).granted, 1)
})

test('who is to be forgotten is looked at again: only who waits, unseen, in this room, is', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 1, waitGraceMs: null })
  await makeRoom(parts.sql, { eventId: 'other' })
  const [active, unseen, seen, leaving] = await putSessions(parts.sql, 4)
  const [theirs] = await putSessions(parts.sql, 1, { eventId: 'other' })
  const ids = [active!, unseen!, seen!, leaving!, theirs!]
  await turn(parts, { joins: joinsOf(ids.slice(0, 1)) })
  await lastSeen(parts.sql, [active!, unseen!, leaving!, theirs!], 10_000)
  const forgotten = { ids: [...ids, 'no uuid'], unseenMs: 5_000 }
  const report = await turn(parts, { leaving: [leaving!], forgotten })
  assert.deepEqual(report, { ...NOTHING, left: 1, abandoned: 1 })
  assert.deepEqual(await statusesOf(parts.sql, ids), [
    'ACTIVE',
    'ABANDONED',
    'WAITING',
    'LEFT',
    'WAITING',
  ])
})

test('rooms do not touch each other', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 1 })
  await makeRoom(parts.sql, { eventId: 'other', capacity: 1 })
  const mine = await putSessions(parts.sql, 2)
  const theirs = await putSessions(parts.sql, 2, { eventId: 'other' })
  await turn(parts, { joins: joinsOf(mine) })
  await turn(parts, { eventId: 'other', joins: joinsOf(theirs) })
  await endLeases(parts.sql, [...mine, ...theirs])
  assert.deepEqual(await turn(parts), { ...NOTHING, expired: 1, granted: 1 })
  assert.deepEqual(await statusesOf(parts.sql, theirs), ['ACTIVE', 'WAITING'])
})

test('a turn that was cut short says so, and the next ones do the rest', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 5_500 })
  const ids = await putSessions(parts.sql, 6_500)
  await lastSeen(parts.sql, ids.slice(0, 500), 121_000)
  const first = await turn(parts, { joins: joinsOf(ids), changesTopic: CHANGES })
  assert.deepEqual(first, {
    ...NOTHING,
    numbered: 6_500,
    granted: 5_000,
    abandoned: 500,
    more: true,
  })
  assert.deepEqual(await turn(parts), { ...NOTHING, granted: 500 })
  assert.equal((await toldTo(parts.sql, CHANGES)).length, 5_500)
  await endLeases(parts.sql, ids)
  assert.deepEqual(await turn(parts), { ...NOTHING, expired: 5_000, granted: 500, more: true })
  assert.deepEqual(await turn(parts), { ...NOTHING, expired: 500 })
  assert.deepEqual(await roomOf(parts.sql), {
    active: 500,
    last_seq: 6_500,
    granted: 6_000,
    freed: 5_500,
  })
})

test('more who are gone than a turn passes over do not keep the others waiting', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 1 })
  const gone = await putSessions(parts.sql, 2_500, { unseenMs: 121_000 })
  const [there] = await putSessions(parts.sql, 1)
  const reports = [await turn(parts, { joins: joinsOf([...gone, there!]) })]
  while (reports.at(-1)?.more) reports.push(await turn(parts))
  assert.deepEqual(
    reports.map(({ abandoned, granted }) => [abandoned, granted]),
    [
      [1_001, 0],
      [1_001, 0],
      [498, 1],
    ],
  )
})

test('each change is told once, with who and what, in the order in which it came to be', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 2 })
  const ids = await putSessions(parts.sql, ['ann', 'bob', 'cas', 'dee', 'eve'])
  const changesTopic = CHANGES
  await turn(parts, { joins: joinsOf(ids), changesTopic })
  await endLeases(parts.sql, [ids[0]!])
  await lastSeen(parts.sql, [ids[2]!], 121_000)
  await turn(parts, { leaving: [ids[1]!], changesTopic })
  const told = await toldTo(parts.sql, CHANGES)
  assert.deepEqual(
    told.map(({ event_type, key, payload }) => [
      event_type,
      key,
      payload.userId,
      payload.status,
      payload.seq,
    ]),
    [
      ['waiting-room.granted', EVENT, 'ann', 'ACTIVE', 1],
      ['waiting-room.granted', EVENT, 'bob', 'ACTIVE', 2],
      ['waiting-room.expired', EVENT, 'ann', 'EXPIRED', 1],
      ['waiting-room.left', EVENT, 'bob', 'LEFT', 2],
      ['waiting-room.abandoned', EVENT, 'cas', 'ABANDONED', 3],
      ['waiting-room.granted', EVENT, 'dee', 'ACTIVE', 4],
      ['waiting-room.granted', EVENT, 'eve', 'ACTIVE', 5],
    ],
  )
  assert.deepEqual(told[0]?.payload, {
    sessionId: ids[0],
    eventId: EVENT,
    userId: 'ann',
    status: 'ACTIVE',
    seq: 1,
  })
})

test('a turn that waited for the room knows what time it is', async t => {
  const parts = await openAdmission(t)
  const { sql } = parts
  await makeRoom(sql, { capacity: 1 })
  const ids = await putSessions(sql, 1)
  const held = await sql.begin(async tx => {
    // Held, and not changed: its row is not read again after the wait.
    await tx`select from admission.rooms for update`
    const waiting = turn(parts, { joins: joinsOf(ids) })
    await someoneWaits(sql)
    const [row] = await tx<{ now: string }[]>`select clock_timestamp()::text as now`
    return { waiting: () => waiting, until: row!.now }
  })
  assert.deepEqual(await held.waiting(), { ...NOTHING, numbered: 1, granted: 1 })
  const late = await sql`
    select from admission.sessions where granted_at > ${held.until}::text::timestamptz`
  assert.equal(late.length, 1)
})

test('two turns at once do not let in more than one of them may', async t => {
  const parts = await openAdmission(t)
  const { sql, pool } = parts
  await makeRoom(sql, { capacity: 1 })
  const ids = await putSessions(sql, 2)
  const commit = gate()
  const held = gate()
  const first = pool.transaction(async tx => {
    await takeTurn(tx, EVENT, { joins: joinsOf(ids.slice(0, 1)) })
    held.open()
    await commit.opened
  })
  await held.opened
  const second = turn(parts, { joins: joinsOf(ids.slice(1), 1) })
  await someoneWaits(sql)
  commit.open()
  await first
  assert.deepEqual(await second, { ...NOTHING, numbered: 1 })
  assert.deepEqual(await statusesOf(sql, ids), ['ACTIVE', 'WAITING'])
})

test('a heartbeat that comes while a turn is about to end the session keeps it', async t => {
  const parts = await openAdmission(t)
  const { sql } = parts
  await makeRoom(sql, { capacity: 1 })
  const ids = await putSessions(sql, 2)
  await turn(parts, { joins: joinsOf(ids) })
  await endLeases(sql, ids.slice(0, 1))
  const ending = await sql.begin(async tx => {
    await tx`
      update admission.sessions set lease_until = clock_timestamp() + interval '1 min' where id = ${ids[0]!}`
    const waiting = turn(parts)
    await someoneWaits(sql)
    return () => waiting
  })
  assert.deepEqual(await ending(), NOTHING)
  assert.deepEqual(await statusesOf(sql, ids), ['ACTIVE', 'WAITING'])
})

test('who shows up while a turn is about to pass over keeps the place, and goes before the next', async t => {
  const parts = await openAdmission(t)
  const { sql } = parts
  await makeRoom(sql, { capacity: 1 })
  const ids = await putSessions(sql, 4)
  await turn(parts, { joins: joinsOf(ids) })
  await lastSeen(sql, ids.slice(1, 3), 200_000)
  const taken = await sql.begin(async tx => {
    await tx`update admission.sessions set seen_at = clock_timestamp() where id = ${ids[2]!}`
    const waiting = turn(parts, { leaving: ids.slice(0, 1) })
    await someoneWaits(sql)
    return () => waiting
  })
  await taken()
  assert.deepEqual(await statusesOf(sql, ids), ['LEFT', 'ABANDONED', 'ACTIVE', 'WAITING'])
})

for (const what of ['a number', 'a place', 'an end', 'the end of its lease', 'being passed over']) {
  test(`a session that is touched while a turn gives it ${what} gets that all the same`, async t => {
    const parts = await openAdmission(t)
    const { sql } = parts
    await makeRoom(sql, { capacity: what === 'a number' ? 0 : 1 })
    const ids = await putSessions(sql, 4)
    const [active, first, second, third] = ids as [string, string, string, string]
    if (what !== 'a number') await turn(parts, { joins: joinsOf(ids) })
    if (what === 'the end of its lease') await endLeases(sql, [active])
    if (what === 'being passed over') await lastSeen(sql, [first, second], 200_000)
    if (what === 'a place') await sql`update admission.rooms set capacity = 3`
    const leaving = { 'an end': [active, second], 'being passed over': [active] }[what] ?? []
    const taken = await sql.begin(async tx => {
      // Whose signs of life are old stay so: what is looked at is what the turn has found.
      await tx`update admission.sessions set claimed_at = clock_timestamp() where id <> ${third}`
      const waiting = turn(parts, { joins: joinsOf(ids), leaving })
      await someoneWaits(sql)
      return () => waiting
    })
    await taken()
    const facts = await factsOf(sql, ids)
    const found = facts.map(({ status, seq }) => (what === 'a number' ? seq : status))
    const wanted = {
      'a number': [1, 2, 3, 4],
      'a place': ['ACTIVE', 'ACTIVE', 'ACTIVE', 'WAITING'],
      'an end': ['LEFT', 'ACTIVE', 'LEFT', 'WAITING'],
      'the end of its lease': ['EXPIRED', 'ACTIVE', 'WAITING', 'WAITING'],
      'being passed over': ['LEFT', 'ABANDONED', 'ABANDONED', 'ACTIVE'],
    }[what]
    assert.deepEqual(found, wanted)
  })
}

function gate(): { readonly opened: Promise<void>; open: () => void } {
  let open = () => {}
  const opened = new Promise<void>(settle => {
    open = settle
  })
  return { opened, open }
}

async function someoneWaits(sql: Sql): Promise<void> {
  const waits = () => sql`
    select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
  await until(async () => (await waits()).length === 1, {
    deadlineMs: 5_000,
    what: 'one waits for another',
  })
}
