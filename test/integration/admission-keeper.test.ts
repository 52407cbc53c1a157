import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { attendStatement } from '../../src/admission/attendance.ts'
import { RoomKeeper, type RoomKeeperOptions } from '../../src/admission/room-keeper.ts'
import type { TurnReport } from '../../src/admission/room-turn.ts'
import { checkAdmissionSchema } from '../../src/admission/schema-check.ts'
import { readSigningKey } from '../../src/admission/signing-key.ts'
import { SluiceError } from '../../src/errors.ts'
import {
  type AdmissionParts,
  CHANGES,
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
import { applyConsumerSchema } from '../support/consumer-schema.ts'
import { createDatabase } from '../support/database.ts'
import { connectTo, toldTo } from '../support/task-room.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 20_000
const HOUR_MS = 3_600_000

function keep(t: TestContext, parts: AdmissionParts, options: Partial<RoomKeeperOptions> = {}) {
  const reports: [string, TurnReport][] = []
  const faults: unknown[] = []
  const keeper = RoomKeeper.start({
    ...parts,
    changesTopic: CHANGES,
    everyMs: 20,
    sessionRetentionMs: HOUR_MS,
    onTurn: (eventId, report) => {
      reports.push([eventId, report])
    },
    onFault: error => {
      faults.push(error)
    },
    ...options,
  })
  cleanup(t, () => keeper.stop())
  return { keeper, reports, faults }
}

test('overdue leases end and free places are given without anybody asking, in rooms that need it', async t => {
  const parts = await openAdmission(t)
  const rooms = ['idle', 'overdue', 'free', 'paused', 'busy', 'empty']
  for (const eventId of rooms) await makeRoom(parts.sql, { eventId, capacity: 1 })
  const sessions = new Map<string, string[]>()
  for (const eventId of rooms.slice(0, 5)) {
    const ids = await putSessions(parts.sql, 3, { eventId })
    sessions.set(eventId, ids)
    await turn(parts, { eventId, joins: joinsOf(ids) })
  }
  await turn(parts, { eventId: 'idle', leaving: sessions.get('idle')! })
  await parts.sql`update admission.rooms set paused = true where event_id = 'paused'`
  await parts.sql`update admission.rooms set capacity = 2 where event_id in ('free', 'paused')`
  await endLeases(parts.sql, [sessions.get('overdue')![0]!])
  const { reports, faults } = keep(t, parts)
  const statuses = (eventId: string) => statusesOf(parts.sql, sessions.get(eventId)!)
  await until(async () => (await statuses('overdue'))[1] === 'ACTIVE', {
    deadlineMs: DEADLINE_MS,
    what: 'the freed place is given',
  })
  await until(async () => (await statuses('free'))[1] === 'ACTIVE', {
    deadlineMs: DEADLINE_MS,
    what: 'the free place is given',
  })
  assert.deepEqual(await statuses('paused'), ['ACTIVE', 'WAITING', 'WAITING'])
  assert.deepEqual(await statuses('busy'), ['ACTIVE', 'WAITING', 'WAITING'])
  assert.deepEqual([...new Set(reports.map(([eventId]) => eventId))].sort(), ['free', 'overdue'])
  assert.equal(reports.length, 2)
  assert.deepEqual(faults, [])
  assert.equal((await toldTo(parts.sql, CHANGES)).length, 3)
})

test('two keepers at once give each place once', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 3, claimMs: 1_000 })
  const ids = await putSessions(parts.sql, 9)
  const keepers = [keep(t, parts), keep(t, { ...parts, ...connectTo(t, parts.url) })]
  await turn(parts, { joins: joinsOf(ids) })
  await until(async () => (await roomOf(parts.sql)).freed === 9, {
    deadlineMs: DEADLINE_MS,
    what: 'all have had their turn',
  })
  const room = await roomOf(parts.sql)
  assert.deepEqual(room, { active: 0, last_seq: 9, granted: 9, freed: 9 })
  const given = keepers.flatMap(({ reports }) => reports.map(([, { granted }]) => granted))
  assert.equal(
    given.reduce((sum, granted) => sum + granted, 0),
    6,
  )
})

test('a place that is freed by a lease is given within a second', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 1, claimMs: 1_000 })
  const ids = await putSessions(parts.sql, 3)
  keep(t, parts, { everyMs: 250 })
  await turn(parts, { joins: joinsOf(ids) })
  await until(async () => (await roomOf(parts.sql)).freed === 3, {
    deadlineMs: DEADLINE_MS,
    what: 'all have had their turn',
  })
  const [late] = await parts.sql<{ ms: number }[]>`
    select max(extract(epoch from ended_at - lease_until))::float8 * 1000 as ms from admission.sessions`
  assert.ok(late!.ms < 1_000, `${late!.ms} ms late`)
})

test('a keeper outlives an outage of the database, and tells of it', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 1 })
  const ids = await putSessions(parts.sql, 2)
  await turn(parts, { joins: joinsOf(ids) })
  const { faults } = keep(t, parts)
  await parts.sql`alter table admission.sessions rename to away`
  await until(() => faults.length > 2, { deadlineMs: DEADLINE_MS, what: 'it tells of the outage' })
  assert.ok(faults.every(error => error instanceof SluiceError && error.code === 'database'))
  await parts.sql`alter table admission.away rename to sessions`
  await endLeases(parts.sql, ids.slice(0, 1))
  await until(async () => (await statusesOf(parts.sql, ids))[1] === 'ACTIVE', {
    deadlineMs: DEADLINE_MS,
    what: 'it goes on',
  })
})

test('a room that fails does not keep the others from their turns', async t => {
  const parts = await openAdmission(t)
  const rooms = Array.from({ length: 12 }, (_, n) => `room-${n}`)
  for (const eventId of rooms) {
    await makeRoom(parts.sql, { eventId, capacity: 0 })
    const ids = await putSessions(parts.sql, 1, { eventId })
    await turn(parts, { eventId, joins: joinsOf(ids) })
  }
  await parts.sql.unsafe(`
    create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
    create trigger refuse before update on admission.sessions for each row
      when (new.event_id in ('room-0', 'room-11')) execute function refuse()`)
  await parts.sql`update admission.rooms set capacity = 1`
  const { faults } = keep(t, parts)
  const active = () => parts.sql`select from admission.sessions where status = 'ACTIVE'`
  await until(async () => (await active()).length === 10, {
    deadlineMs: DEADLINE_MS,
    what: 'the others had their turns',
  })
  assert.ok(faults.length > 0)
})

test('nobody is passed over for a time when there was no one to ask', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 0 })
  const ids = await putSessions(parts.sql, 3)
  await turn(parts, { joins: joinsOf(ids) })
  await parts.database.run('attending', attendStatement)
  const attended = (sinceMs: number, beatMs: number) => parts.sql`
    update admission.attendance set since = clock_timestamp() - ${sinceMs}::float8 * interval '1 ms',
      beat_at = clock_timestamp() - ${beatMs}::float8 * interval '1 ms'`
  await lastSeen(parts.sql, ids, 200_000)
  await parts.sql`update admission.rooms set capacity = 1`
  // Still away, with everyone else.
  await attended(HOUR_MS, 6_000)
  assert.equal((await turn(parts)).granted, 1)
  // Back, but not for long enough to be seen.
  await parts.database.run('attending', attendStatement)
  await parts.sql`update admission.rooms set capacity = 2`
  assert.equal((await turn(parts)).granted, 1)
  // Back for longer than the grace.
  await attended(121_000, 100)
  await parts.database.run('attending', attendStatement)
  await parts.sql`update admission.rooms set capacity = 3`
  assert.equal((await turn(parts)).abandoned, 1)
})

test('what need not be kept is forgotten: who waits unseen, and who ended long ago', async t => {
  const parts = await openAdmission(t)
  await makeRoom(parts.sql, { capacity: 1, waitGraceMs: null })
  await makeRoom(parts.sql, { eventId: 'paused', capacity: 1, paused: true })
  const [active, unseen, seen, gone, recent] = await putSessions(parts.sql, 5)
  const [unnumbered] = await putSessions(parts.sql, 1, { eventId: 'paused' })
  await turn(parts, { joins: joinsOf([active!, unseen!, seen!, gone!, recent!]) })
  await turn(parts, { leaving: [gone!, recent!] })
  await lastSeen(parts.sql, [active!, unseen!, unnumbered!], HOUR_MS + 1_000)
  await parts.sql`
    update admission.sessions set ended_at = now() - interval '61 min' where id = ${gone!}`
  keep(t, parts, { pruneEveryMs: 20 })
  const facts = () => factsOf(parts.sql, [active!, unseen!, seen!, gone!, recent!, unnumbered!])
  await until(
    async () => (await facts()).filter(({ status }) => status === 'ABANDONED').length === 2,
    {
      deadlineMs: DEADLINE_MS,
      what: 'who waits unseen is abandoned',
    },
  )
  await until(async () => (await facts()).length === 5, {
    deadlineMs: DEADLINE_MS,
    what: 'who ended long ago is deleted',
  })
  assert.deepEqual(
    (await facts()).map(({ status }) => status),
    ['ACTIVE', 'ABANDONED', 'WAITING', 'LEFT', 'ABANDONED'],
  )
  const told = await toldTo(parts.sql, CHANGES)
  assert.deepEqual(
    told.map(({ event_type }) => event_type),
    ['waiting-room.abandoned', 'waiting-room.abandoned'],
  )
})

test('a keeper ends with its signal', async t => {
  const parts = await openAdmission(t)
  const stopping = new AbortController()
  const { keeper } = keep(t, parts, { signal: stopping.signal, everyMs: 60_000 })
  stopping.abort()
  await keeper.completed
  await keeper.stop()
})

test('all processes sign by the same key, whoever made it', async t => {
  const parts = await openAdmission(t)
  const others = [connectTo(t, parts.url), connectTo(t, parts.url)]
  const databases = [parts, ...others].flatMap(({ database }) => [database, database])
  const keys = await Promise.all(databases.map(database => readSigningKey(database)))
  assert.equal(new Set(keys.map(key => key.toString('hex'))).size, 1)
  assert.equal(keys[0]?.length, 32)
  assert.deepEqual(await readSigningKey(parts.database), keys[0])
})

test('a database without the schema is refused with the command that makes it', async t => {
  const { url, sql } = await createDatabase(t)
  await applyConsumerSchema(sql)
  const { database } = connectTo(t, url)
  await assert.rejects(
    checkAdmissionSchema(database),
    error =>
      error instanceof SluiceError &&
      error.code === 'schema' &&
      error.message.includes('sluice migrate outbox consumer admission'),
  )
  const parts = await openAdmission(t)
  await checkAdmissionSchema(parts.database)
})
