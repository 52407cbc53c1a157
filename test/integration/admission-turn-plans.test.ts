import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dueRoomsStatement, unseenStatement } from '../../src/admission/keeper-statements.ts'
import { BLOCK_PLACES, boardStatement } from '../../src/admission/room-board.ts'
import {
  claimStatement,
  extendStatement,
  readStatement,
  seenStatement,
} from '../../src/admission/session-statements.ts'
import {
  endStatement,
  grantStatement,
  lockStatement,
  numberStatement,
  planByIndex,
} from '../../src/admission/turn-statements.ts'
import type { Sql } from '../../src/postgres/database.ts'
import {
  type AdmissionParts,
  EVENT,
  joinsOf,
  makeRoom,
  openAdmission,
  putSessions,
  turn,
} from '../support/admission-rooms.ts'

const ROOM_SESSIONS = 6_000
const LIMITS = { grantsMax: 5_000, passedMax: 1_000, endsMax: 5_000 }

/** Rows read of each index of the sessions, in a room among others, whatever is known of them. */
for (const statistics of ['of an empty room', 'of a full room', 'of nothing']) {
  test(`statements read what they need by the indexes named, with statistics ${statistics}`, async t => {
    const parts = await openAdmission(t)
    const { sql, database, pool } = parts
    if (statistics === 'of an empty room') await sql`analyze admission.sessions, admission.rooms`
    const ids = await crowd(parts)
    if (statistics === 'of a full room') await sql`analyze admission.sessions, admission.rooms`
    // As a room that has filled up within a minute.
    if (statistics !== 'of nothing') await sql`vacuum admission.sessions`
    const read = (statement: (sql: Sql) => unknown) =>
      database.run('explaining', own => rowsRead(own, statement(own)))
    const inTurn = (statement: (tx: Parameters<typeof planByIndex>[0]) => unknown) =>
      pool.transaction(async tx => {
        await planByIndex(tx)
        return rowsRead(tx as unknown as Sql, statement(tx))
      })

    const place = (n: number) => ids[n]!
    // The places of their block before them.
    assert.deepEqual(await read(own => readStatement(own, [place(600), place(610)])), {
      sessions_pkey: 2,
      sessions_waiting: (601 % BLOCK_PLACES) + (611 % BLOCK_PLACES),
    })
    assert.deepEqual(await read(own => boardStatement(own, [EVENT])), {
      sessions_waiting: ROOM_SESSIONS - 5,
    })
    // To lock it, and to change it.
    assert.deepEqual(await read(own => seenStatement(own, [place(9)])), { sessions_pkey: 2 })
    assert.deepEqual(await read(own => claimStatement(own, [place(1)])), { sessions_pkey: 2 })
    assert.deepEqual(await read(own => extendStatement(own, [place(2)])), { sessions_pkey: 2 })
    // Two leases are over; somebody waits in a room with a free place.
    await sql`update admission.rooms set capacity = 6 where event_id = 'a'`
    assert.deepEqual(await read(dueRoomsStatement), { sessions_active: 2, sessions_waiting: 1 })
    assert.deepEqual(
      await read(own => unseenStatement(own, { eventId: 'b', userId: '' }, 1_000, 10)),
      { sessions_open: 10 },
    )

    const now = '2100-01-01 00:00:00+00'
    assert.deepEqual(await inTurn(tx => lockStatement(tx, EVENT)), {})
    assert.deepEqual(await inTurn(tx => numberStatement(tx, EVENT, joinsOf(ids.slice(0, 3)))), {
      sessions_pkey: 3,
    })
    const ends = { leaving: `{${place(1)}}`, forgotten: '{}', unseenMs: 0 }
    // The other four leases are over by then; each session that ends is read once more.
    assert.deepEqual(await inTurn(tx => endStatement(tx, EVENT, now, ends, LIMITS)), {
      sessions_active: 4,
      sessions_pkey: 1 + 1 + 4,
    })
    const room = { now, grace_ms: null, claim_ms: 1_000, passed_seq: 5 }
    // The one who is let in, and whether somebody is before.
    assert.deepEqual(await inTurn(tx => grantStatement(tx, EVENT, room, 1, LIMITS)), {
      sessions_waiting: 1,
      sessions_pkey: 1,
    })
  })
}

test('who was let in before costs a turn nothing, also while an old snapshot keeps the dead entries', async t => {
  const parts = await openAdmission(t)
  const { sql, pool } = parts
  await makeRoom(sql, { capacity: ROOM_SESSIONS, waitGraceMs: null })
  const ids = await putSessions(sql, ROOM_SESSIONS + 10)
  await sql.begin('isolation level repeatable read', async old => {
    await old`select count(*) from admission.sessions`
    await turn(parts, { joins: joinsOf(ids) })
    await turn(parts)
    const blocks = (passedSeq: number) =>
      pool.transaction(async tx => {
        await planByIndex(tx)
        const room = { now: '2100-01-01', grace_ms: null, claim_ms: 1_000, passed_seq: passedSeq }
        const [row] = await tx<{ 'QUERY PLAN': { Plan: { 'Shared Hit Blocks': number } }[] }[]>`
          explain (analyze, buffers, format json) ${grantStatement(tx, EVENT, room, 1, LIMITS)}`
        return row!['QUERY PLAN'][0]!.Plan['Shared Hit Blocks']
      })
    const [passed] = await sql<
      { seq: number }[]
    >`select passed_seq::float8 as seq from admission.rooms`
    assert.equal(passed?.seq, ROOM_SESSIONS)
    const fromPassed = await blocks(ROOM_SESSIONS)
    const fromStart = await blocks(0)
    assert.ok(
      fromPassed < 60 && fromStart > 5 * fromPassed,
      `${fromPassed} blocks, ${fromStart} from the start`,
    )
  })
})

/** @returns ids of the room's sessions, by their places */
async function crowd(parts: AdmissionParts): Promise<string[]> {
  const { sql } = parts
  let mine: string[] = []
  for (const eventId of ['a', EVENT, 'z']) {
    await makeRoom(sql, { eventId, capacity: 5, waitGraceMs: null })
    const ids = await putSessions(sql, ROOM_SESSIONS, { eventId })
    if (eventId === EVENT) mine = ids
    await turn(parts, { eventId, joins: joinsOf(ids) })
  }
  await sql`
    update admission.sessions set lease_until = now() - interval '1 s' where seq <= 2 and event_id = 'z'`
  return mine
}

async function rowsRead(sql: Sql, statement: unknown): Promise<Record<string, number>> {
  const rows = await sql<{ 'QUERY PLAN': string }[]>`
    explain (analyze, costs off, timing off, buffers off) ${statement as ReturnType<Sql>}`
  const plan = rows.map(row => row['QUERY PLAN']).join('\n')
  assert.doesNotMatch(plan, /Seq Scan on sessions|Bitmap/)
  const read: Record<string, number> = {}
  const scan = /using (sessions_\w+) on [^(]*\(actual rows=([\d.]+) loops=(\d+)\)/g
  for (const [, index, found, loops] of plan.matchAll(scan)) {
    const count = Math.round(Number(found) * Number(loops))
    if (count > 0) read[index!] = (read[index!] ?? 0) + count
  }
  return read
}
