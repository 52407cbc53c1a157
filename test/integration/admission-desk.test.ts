import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { PostgresDesk, type PostgresDeskOptions } from '../../src/admission/postgres-desk.ts'
import type { TurnReport } from '../../src/admission/room-turn.ts'
import type { Session } from '../../src/admission/session.ts'
import { TooBusy } from '../../src/admission/too-busy.ts'
import { SluiceError } from '../../src/errors.ts'
import {
  type AdmissionParts,
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
import { cleanup } from '../support/cleanup.ts'
import { toldTo } from '../support/task-room.ts'
import { until } from '../support/until.ts'

const JOINS = 'waiting-room-joins'
const DEADLINE_MS = 20_000

function openDesk(
  t: TestContext,
  parts: AdmissionParts,
  options: Partial<PostgresDeskOptions> = {},
) {
  const reports: TurnReport[] = []
  const desk = new PostgresDesk({
    ...parts,
    joinsTopic: JOINS,
    changesTopic: CHANGES,
    capacityOfNewRooms: null,
    onTurn: (_eventId, report) => {
      reports.push(report)
    },
    ...options,
  })
  cleanup(t, () => desk.stop())
  return { desk, reports }
}

test('a join makes a session that waits, and its record, in one transaction', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql)
  const { sessionId, created } = await desk.join({ eventId: EVENT, userId: 'ann "é"\n' })
  assert.equal(created, true)
  assert.deepEqual(await statusesOf(parts.sql, [sessionId]), ['WAITING'])
  const told = await toldTo(parts.sql, JOINS)
  assert.deepEqual(
    told.map(({ key, event_type, payload }) => [key, event_type, payload]),
    [[EVENT, 'waiting-room.join', { sessionId, eventId: EVENT, userId: 'ann "é"\n' }]],
  )
  assert.deepEqual(await desk.look(sessionId), {
    sessionId,
    eventId: EVENT,
    userId: 'ann "é"\n',
    status: 'WAITING',
    position: null,
    estimatedWaitMs: null,
    leaseUntil: null,
    renewable: true,
    targetUrl: null,
  } satisfies Session)
})

test('joining again gets the open session, also at once and from two processes', async t => {
  const parts = await openAdmission(t)
  const desks = [openDesk(t, parts).desk, openDesk(t, parts).desk]
  await makeRoom(parts.sql)
  const requests = Array.from({ length: 400 }, (_, n) => ({
    eventId: EVENT,
    userId: `user-${n % 50}`,
  }))
  const joined = await Promise.all(requests.map((request, n) => desks[n % 2]!.join(request)))
  const sessions = new Map<string, Set<string>>()
  joined.forEach(({ sessionId }, n) => {
    const { userId } = requests[n]!
    sessions.set(userId, (sessions.get(userId) ?? new Set()).add(sessionId))
  })
  assert.ok([...sessions.values()].every(ids => ids.size === 1))
  assert.equal(joined.filter(({ created }) => created).length, 50)
  assert.equal((await parts.sql`select from admission.sessions`).length, 50)
  assert.equal((await toldTo(parts.sql, JOINS)).length, 50)
})

test('a join that meets another one of its user, not committed yet, gets the session of that', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql)
  const id = randomUUID()
  const meeting = await parts.sql.begin(async sql => {
    await sql`insert into admission.sessions (id, event_id, user_id) values (${id}, ${EVENT}, 'ann')`
    const joins = ['ann', 'bob'].map(userId => desk.join({ eventId: EVENT, userId }))
    await until(async () => (await waiting(parts)) === 1, {
      deadlineMs: DEADLINE_MS,
      what: 'the join waits',
    })
    return () => Promise.all(joins)
  })
  const [ann, bob] = await meeting()
  assert.deepEqual(ann, { sessionId: id, created: false })
  assert.equal(bob?.created, true)
  assert.equal((await toldTo(parts.sql, JOINS)).length, 1)
})

test('who joins after the end of a session is at the back', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql)
  const ann = await desk.join({ eventId: EVENT, userId: 'ann' })
  const bob = await desk.join({ eventId: EVENT, userId: 'bob' })
  await turn(parts, { joins: joinsOf([ann.sessionId, bob.sessionId]) })
  assert.equal((await desk.leave(ann.sessionId))?.status, 'LEFT')
  const again = await desk.join({ eventId: EVENT, userId: 'ann' })
  assert.equal(again.created, true)
  const once = await desk.join({ eventId: EVENT, userId: 'ann' })
  assert.deepEqual(once, { sessionId: again.sessionId, created: false })
  await turn(parts, { joins: joinsOf([again.sessionId], 9) })
  const facts = await factsOf(parts.sql, [bob.sessionId, again.sessionId])
  assert.deepEqual(
    facts.map(({ seq, status }) => [seq, status]),
    [
      [2, 'ACTIVE'],
      [3, 'WAITING'],
    ],
  )
})

test('a session that ends while its user joins again is not handed out', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql)
  const users = Array.from({ length: 40 }, (_, n) => `user-${n}`)
  let sessions = await Promise.all(users.map(userId => desk.join({ eventId: EVENT, userId })))
  for (let round = 0; round < 8; round++) {
    const before = sessions
    const [, joined] = await Promise.all([
      turn(parts, { leaving: before.map(({ sessionId }) => sessionId) }),
      Promise.all(users.map(userId => desk.join({ eventId: EVENT, userId }))),
    ])
    joined.forEach(({ sessionId, created }, n) => {
      assert.equal(created, sessionId !== before[n]?.sessionId)
    })
    sessions = await Promise.all(users.map(userId => desk.join({ eventId: EVENT, userId })))
    const open = await statusesOf(
      parts.sql,
      sessions.map(({ sessionId }) => sessionId),
    )
    assert.ok(open.every(status => status === 'WAITING'))
  }
  const twice = await parts.sql`
    select from admission.sessions where ended_at is null group by event_id, user_id having count(*) > 1`
  assert.equal(twice.length, 0)
})

test('rooms are made by joining where that is wanted, and refused where it is not', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts, { capacityOfNewRooms: 7 })
  const { desk: strict } = openDesk(t, parts)
  await makeRoom(parts.sql, { eventId: 'known' })
  const [refused, known] = await Promise.allSettled([
    strict.join({ eventId: 'new', userId: 'ann' }),
    strict.join({ eventId: 'known', userId: 'ann' }),
  ])
  assert.ok(refused.status === 'rejected' && isRefusal(refused.reason, 'options'))
  assert.equal(known.status, 'fulfilled')
  const joins = ['new', 'new', 'other'].map((eventId, n) => desk.join({ eventId, userId: `u${n}` }))
  assert.equal((await Promise.all(joins)).length, 3)
  const { capacity, leaseMs, claimMs, waitGraceMs, renewable } = (await desk.room('new'))!
  assert.deepEqual(
    [capacity, leaseMs, claimMs, waitGraceMs, renewable],
    [7, 600_000, 60_000, 120_000, true],
  )
  // Somebody else has made it in the meantime.
  assert.equal((await strict.join({ eventId: 'new', userId: 'bob' })).created, true)
  await parts.sql`
    insert into admission.rooms (event_id, capacity) select 'r' || n, 1 from generate_series(1, 9997) n`
  await assert.rejects(desk.join({ eventId: 'one too many', userId: 'ann' }), error =>
    isRefusal(error, 'options'),
  )
  assert.equal((await desk.join({ eventId: 'r5', userId: 'ann' })).created, true)
})

function isRefusal(error: unknown, code: string): boolean {
  return error instanceof SluiceError && error.code === code
}

test('an id that cannot be written is refused alone', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql)
  const bad = ['', 'x'.repeat(201), 'a\0b', '\ud800', 5 as unknown as string]
  const joins = [...bad, 'ann', '𝄞'.repeat(200)].map(userId =>
    desk.join({ eventId: EVENT, userId }),
  )
  const settled = await Promise.allSettled(joins)
  assert.deepEqual(
    settled.map(({ status }) => status),
    [...bad.map(() => 'rejected'), 'fulfilled', 'fulfilled'],
  )
  for (const one of settled) {
    if (one.status === 'rejected') assert.ok(isRefusal(one.reason, 'options'))
  }
  await assert.rejects(desk.join({ eventId: 'a\0b', userId: 'ann' }), error =>
    isRefusal(error, 'options'),
  )
})

test('more joins than may wait are refused at once', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts, { joinsWaitingMax: 10 })
  await makeRoom(parts.sql)
  const joins = Array.from({ length: 30 }, (_, n) => desk.join({ eventId: EVENT, userId: `u${n}` }))
  const settled = await Promise.allSettled(joins)
  const refused = settled.filter(one => one.status === 'rejected').map(one => one.reason)
  assert.equal(refused.length, 20)
  assert.ok(refused.every(error => error instanceof TooBusy && error.retryAfterMs > 0))
  assert.equal((await desk.join({ eventId: EVENT, userId: 'later' })).created, true)
})

test('an id that is no session is none, and what is no id asks nobody', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  for (const ask of ['look', 'heartbeat', 'leave'] as const) {
    assert.equal(await desk[ask](randomUUID()), null)
  }
  await parts.database.stop()
  for (const ask of ['look', 'heartbeat', 'leave'] as const) {
    assert.equal(await desk[ask]('1; drop table'), null)
  }
})

test('the first look at one who was let in starts the lease, a later one does not', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql, { capacity: 9, claimMs: 5_000, leaseMs: 600_000 })
  const ids = await putSessions(parts.sql, 3)
  await turn(parts, { joins: joinsOf(ids) })
  const before = await factsOf(parts.sql, ids)
  assert.ok(before.every(({ lease_ms, claimed }) => lease_ms! <= 5_000 && !claimed))
  const first = await Promise.all(ids.map(id => desk.look(id)))
  const after = await factsOf(parts.sql, ids)
  assert.ok(after.every(({ lease_ms, claimed }) => lease_ms! > 500_000 && claimed))
  const second = await Promise.all(ids.map(id => desk.look(id)))
  assert.deepEqual(second, first)
  assert.ok(
    first.every(session => session?.leaseUntil instanceof Date && session.position === null),
  )
})

test('a look while the session is locked waits for it, and tells what became of it', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql, { capacity: 9 })
  const ids = await putSessions(parts.sql, 3)
  await turn(parts, { joins: joinsOf(ids) })
  const looks = await parts.sql.begin(async sql => {
    await sql`update admission.sessions set status = 'LEFT', ended_at = now() where id = ${ids[0]!}`
    const looking = ids.map(id => desk.look(id))
    await until(async () => (await waiting(parts)) === 1, {
      deadlineMs: DEADLINE_MS,
      what: 'the look waits',
    })
    return () => Promise.all(looking)
  })
  const sessions = await looks()
  assert.deepEqual(
    sessions.map(session => session?.status),
    ['LEFT', 'ACTIVE', 'ACTIVE'],
  )
  assert.ok(
    sessions.slice(1).every(session => session!.leaseUntil!.getTime() > Date.now() + 300_000),
  )
})

async function waiting({ sql }: AdmissionParts): Promise<number> {
  const rows = await sql`
    select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
  return rows.length
}

test('a look is a sign of life, written down once in a while', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql, { capacity: 0, waitGraceMs: 120_000 })
  const ids = await putSessions(parts.sql, 2)
  await lastSeen(parts.sql, [ids[0]!], 31_000)
  await lastSeen(parts.sql, [ids[1]!], 29_000)
  await Promise.all(ids.map(id => desk.look(id)))
  const [old, young] = await factsOf(parts.sql, ids)
  assert.ok(old!.unseen_ms < 20_000 && young!.unseen_ms >= 29_000)
  await lastSeen(parts.sql, ids, 119_000)
  await Promise.all([desk.heartbeat(ids[0]!), desk.look(ids[1]!)])
  assert.ok((await factsOf(parts.sql, ids)).every(({ unseen_ms }) => unseen_ms < 20_000))
})

test('who is active beyond the lease is shown as expired, and the place is given', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql, { capacity: 1 })
  const ids = await putSessions(parts.sql, 2)
  await turn(parts, { joins: joinsOf(ids) })
  await desk.look(ids[0]!)
  await endLeases(parts.sql, [ids[0]!])
  assert.equal((await desk.look(ids[0]!))?.status, 'EXPIRED')
  assert.deepEqual(await statusesOf(parts.sql, ids), ['EXPIRED', 'ACTIVE'])
  // So is one that was never asked for.
  await endLeases(parts.sql, [ids[1]!])
  assert.equal((await desk.heartbeat(ids[1]!))?.status, 'EXPIRED')
})

test('heartbeats extend the lease, where the room allows it, and never shorten it', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql, { capacity: 9, leaseMs: 100_000, claimMs: 1_000 })
  await makeRoom(parts.sql, { eventId: 'fixed', capacity: 9, leaseMs: 100_000, renewable: false })
  const mine = await putSessions(parts.sql, 3)
  const [fixed] = await putSessions(parts.sql, 1, { eventId: 'fixed' })
  await turn(parts, { joins: joinsOf(mine) })
  await turn(parts, { eventId: 'fixed', joins: joinsOf([fixed!]) })
  await Promise.all([desk.look(mine[0]!), desk.look(fixed!)])
  await parts.sql`
    update admission.sessions set lease_until = clock_timestamp() + interval '5 s' where id in (${mine[0]!}, ${fixed!})`
  await parts.sql`
    update admission.sessions set lease_until = clock_timestamp() + interval '500 s' where id = ${mine[2]!}`
  const beaten = await Promise.all([...mine, fixed!].map(id => desk.heartbeat(id)))
  const facts = await factsOf(parts.sql, [...mine, fixed!])
  const leases = facts.map(({ lease_ms }) => Math.round(lease_ms! / 50_000))
  assert.deepEqual(leases, [2, 2, 10, 0])
  assert.deepEqual(
    facts.map(({ claimed }) => claimed),
    [true, true, true, true],
  )
  assert.deepEqual(
    beaten.map(session => session?.renewable),
    [true, true, true, false],
  )
})

test('a heartbeat while the session is locked is not lost', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql, { capacity: 9, leaseMs: 100_000, claimMs: 10_000 })
  const ids = await putSessions(parts.sql, 2)
  await turn(parts, { joins: joinsOf(ids) })
  await Promise.all(ids.map(id => desk.look(id)))
  await parts.sql`update admission.sessions set lease_until = clock_timestamp() + interval '10 s'`
  const beats = await parts.sql.begin(async sql => {
    await sql`select from admission.sessions where id = ${ids[0]!} for update`
    const beating = ids.map(id => desk.heartbeat(id))
    await until(async () => (await waiting(parts)) === 1, {
      deadlineMs: DEADLINE_MS,
      what: 'the heartbeat waits',
    })
    return () => Promise.all(beating)
  })
  await beats()
  assert.ok((await factsOf(parts.sql, ids)).every(({ lease_ms }) => lease_ms! > 50_000))
})

test('many who leave at once share few turns, and the next ones are in', async t => {
  const parts = await openAdmission(t)
  const { desk, reports } = openDesk(t, parts)
  await makeRoom(parts.sql, { capacity: 100 })
  const ids = await putSessions(parts.sql, 250)
  await turn(parts, { joins: joinsOf(ids) })
  const left = await Promise.all(ids.slice(0, 100).map(id => desk.leave(id)))
  assert.ok(left.every(session => session?.status === 'LEFT'))
  assert.ok(reports.length <= 3, `${reports.length} turns`)
  assert.deepEqual(await roomOf(parts.sql), {
    active: 100,
    last_seq: 250,
    granted: 200,
    freed: 100,
  })
  // Leaving twice changes nothing, waiting ones may leave too.
  assert.equal((await desk.leave(ids[0]!))?.status, 'LEFT')
  assert.equal((await desk.leave(ids[249]!))?.status, 'LEFT')
  assert.equal((await roomOf(parts.sql)).freed, 100)
})

test('positions are exact when nothing moves, whatever is missing among those ahead', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql, { capacity: 0 })
  const ids = await putSessions(parts.sql, 3_000)
  await turn(parts, { joins: joinsOf(ids) })
  // Whole blocks, and some everywhere.
  const gone = ids.filter((_, n) => (n >= 255 && n < 511) || n % 7 === 3)
  await turn(parts, { leaving: gone })
  const there = ids.filter(id => !gone.includes(id))
  const sessions = await Promise.all(there.map(id => desk.look(id)))
  assert.deepEqual(
    sessions.map(session => session?.position),
    there.map((_, n) => n + 1),
  )
})

test('a position never grows because of who came later', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql, { capacity: 0 })
  const ids = await putSessions(parts.sql, 2_000)
  await turn(parts, { joins: joinsOf(ids.slice(0, 300)) })
  assert.equal((await desk.look(ids[299]!))?.position, 300)
  await turn(parts, { joins: joinsOf(ids) })
  // The board is from before; what it does not know of waits.
  const asked = [300, 511, 512, 1_023, 1_999]
  const sessions = await Promise.all(asked.map(n => desk.look(ids[n]!)))
  assert.deepEqual(
    sessions.map(session => session?.position),
    asked.map(n => n + 1),
  )
})

test('the wait is told from the places freed of late', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql, { capacity: 1 })
  const ids = await putSessions(parts.sql, 20)
  await turn(parts, { joins: joinsOf(ids) })
  assert.equal((await desk.look(ids[9]!))?.estimatedWaitMs, null)
  for (const id of ids.slice(0, 5)) await turn(parts, { leaving: [id] })
  // As if they had left over a minute: 4 after the first one.
  await parts.sql`update admission.rooms set freed_since = clock_timestamp() - interval '60 s', freed_weight = 2.5`
  const { freedPerSecond } = (await desk.room(EVENT))!
  assert.ok(Math.abs(freedPerSecond! - 2.5 / 60 / (1 - Math.exp(-1))) < 0.01)
  await desk.setRoom(EVENT, {})
  const { position, estimatedWaitMs } = (await desk.look(ids[9]!))!
  assert.equal(position, 4)
  assert.ok(Math.abs(estimatedWaitMs! - (4 / freedPerSecond!) * 1_000) < 2_000)
  await desk.pauseRoom(EVENT, true)
  assert.equal((await desk.look(ids[9]!))?.estimatedWaitMs, null)
})

test('rooms are made, changed in part and listed', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await assert.rejects(desk.setRoom('a', { leaseMs: 5_000 }), error => isRefusal(error, 'options'))
  const made = await desk.setRoom('a', {
    capacity: 3,
    waitGraceMs: null,
    targetUrl: 'https://x.example/',
  })
  assert.deepEqual(made, {
    eventId: 'a',
    capacity: 3,
    leaseMs: 600_000,
    claimMs: 60_000,
    waitGraceMs: null,
    renewable: true,
    targetUrl: 'https://x.example/',
    paused: false,
    active: 0,
    waiting: 0,
    granted: 0,
    freed: 0,
    freedPerSecond: null,
  })
  const changed = await desk.setRoom('a', { leaseMs: 5_000, renewable: false, targetUrl: null })
  assert.deepEqual(changed, { ...made, leaseMs: 5_000, renewable: false, targetUrl: null })
  await Promise.all(['b', 'c', 'd'].map(eventId => desk.setRoom(eventId, { capacity: 1 })))
  const names = async (after?: string) => (await desk.rooms(after)).map(({ eventId }) => eventId)
  assert.deepEqual(await names(), ['a', 'b', 'c', 'd'])
  assert.deepEqual(await names('b'), ['c', 'd'])
  assert.equal(await desk.room('none'), null)
  assert.equal(await desk.pauseRoom('none', true), null)
  for (const bad of [{ capacity: -1 }, { capacity: 1.5 }, { leaseMs: 999 }, { waitGraceMs: 0 }]) {
    await assert.rejects(desk.setRoom('a', bad), error => isRefusal(error, 'options'))
  }
})

test('two who make a room at once make one', async t => {
  const parts = await openAdmission(t)
  const desks = [openDesk(t, parts).desk, openDesk(t, parts).desk]
  const made = await Promise.all(desks.map((desk, n) => desk.setRoom('a', { capacity: n + 1 })))
  assert.equal(made.length, 2)
  assert.equal((await parts.sql`select from admission.rooms`).length, 1)
})

test('more capacity, and the end of a pause, let people in before they are answered', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql, { capacity: 1 })
  const ids = await putSessions(parts.sql, 12_000)
  await turn(parts, { joins: joinsOf(ids) })
  assert.equal((await desk.setRoom(EVENT, { capacity: 11_000 })).active, 11_000)
  assert.equal((await desk.pauseRoom(EVENT, true))?.paused, true)
  await desk.leave(ids[0]!)
  const paused = await desk.setRoom(EVENT, { capacity: 20_000 })
  assert.deepEqual([paused.active, paused.waiting], [10_999, 1_000])
  const resumed = await desk.pauseRoom(EVENT, false)
  assert.deepEqual([resumed?.active, resumed?.waiting], [11_999, 0])
})

test('without the database everything is refused, as something that may pass', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql)
  const [id] = await putSessions(parts.sql, 1)
  await parts.sql`alter table admission.sessions rename to gone`
  await parts.sql`alter table admission.rooms rename to gone_too`
  const calls = [
    desk.join({ eventId: EVENT, userId: 'ann' }),
    desk.look(id!),
    desk.heartbeat(id!),
    desk.leave(id!),
    desk.room(EVENT),
    desk.rooms(),
    desk.setRoom(EVENT, { capacity: 1 }),
    desk.pauseRoom(EVENT, true),
  ]
  for (const call of await Promise.allSettled(calls)) {
    assert.ok(call.status === 'rejected' && isRefusal(call.reason, 'database'))
    assert.ok((call.reason as SluiceError).retryable)
  }
})

test('a desk that is stopped refuses', async t => {
  const parts = await openAdmission(t)
  const { desk } = openDesk(t, parts)
  await makeRoom(parts.sql)
  const joining = desk.join({ eventId: EVENT, userId: 'ann' })
  await Promise.all([desk.stop(), desk.stop(), joining.catch(() => {})])
  const [id] = await putSessions(parts.sql, 1)
  for (const call of [desk.join({ eventId: EVENT, userId: 'bob' }), desk.look(id!)]) {
    await assert.rejects(call, error => isRefusal(error, 'lifecycle'))
  }
})
