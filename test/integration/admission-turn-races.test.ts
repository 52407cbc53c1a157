import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { PostgresDesk } from '../../src/admission/postgres-desk.ts'
import { RoomKeeper } from '../../src/admission/room-keeper.ts'
import type { Sql } from '../../src/postgres/database.ts'
import {
  type AdmissionParts,
  CHANGES,
  EVENT,
  joinsOf,
  makeRoom,
  openAdmission,
  putSessions,
  roomOf,
  turn,
} from '../support/admission-rooms.ts'
import { cleanup } from '../support/cleanup.ts'
import { connectTo, toldTo } from '../support/task-room.ts'

const CONNECTIONS = 8
const STEPS = 50
const CAPACITY_MAX = 8

/** What happened in a room: whoever changes its sessions' status holds its row, so `n` ascends with the commits. */
interface Entry {
  readonly n: number
  readonly xid: string
  /** Null: the capacity was changed. */
  readonly id: string | null
  readonly was: string | null
  readonly status: string | null
  readonly seq: number | null
  readonly capacity: number
}

async function keepJournal(sql: Sql): Promise<void> {
  await sql.unsafe(`
    create table journal (
      n bigint generated always as identity, xid text default pg_current_xact_id()::text,
      id uuid, was text, status text, seq bigint, capacity int
    );
    create function note_session() returns trigger language plpgsql as $$ begin
      insert into journal (id, was, status, seq, capacity) values (
        new.id, case when tg_op = 'UPDATE' then old.status end, new.status, new.seq,
        (select capacity from admission.rooms where event_id = new.event_id)
      );
      return null;
    end $$;
    create function note_capacity() returns trigger language plpgsql as $$ begin
      insert into journal (capacity) values (new.capacity);
      return null;
    end $$;
    create trigger note after update on admission.sessions for each row
      when (old.status <> new.status or old.seq is distinct from new.seq) execute function note_session();
    create trigger note after update on admission.rooms for each row
      when (old.capacity <> new.capacity) execute function note_capacity();
  `)
}

function random(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function openDesk(t: TestContext, { url }: AdmissionParts): PostgresDesk {
  const { database, pool } = connectTo(t, url)
  const desk = new PostgresDesk({
    database,
    pool,
    joinsTopic: 'joins',
    changesTopic: CHANGES,
    capacityOfNewRooms: null,
  })
  cleanup(t, () => desk.stop())
  return desk
}

test('whatever is done at once, the capacity holds at each commit and turns come in order', async t => {
  const parts = await openAdmission(t)
  const { sql } = parts
  await makeRoom(sql, { capacity: 4, waitGraceMs: 1_000, leaseMs: 2_000, claimMs: 1_000 })
  await keepJournal(sql)
  const desks = [openDesk(t, parts), openDesk(t, parts)]
  const faults: unknown[] = []
  const keepers = [0, 1].map(() => {
    const onFault = (error: unknown) => {
      faults.push(error)
    }
    return RoomKeeper.start({
      ...connectTo(t, parts.url),
      changesTopic: CHANGES,
      everyMs: 20,
      sessionRetentionMs: 3_600_000,
      onFault,
    })
  })
  cleanup(t, async () => {
    await Promise.all(keepers.map(keeper => keeper.stop()))
  })
  const log = await putSessions(sql, 20)
  await turn(parts, { joins: joinsOf(log), changesTopic: CHANGES })
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, n) => {
      const below = random(n + 1)
      for (let step = 0; step < STEPS; step++)
        await act(parts, desks[n % 2]!, { log, below, isGranter: n === 0 })
    }),
  )
  await Promise.all(keepers.map(keeper => keeper.stop()))
  assert.deepEqual(faults, [])
  const journal = await sql<Entry[]>`
    select n::float8, xid, id::text, was, status, seq::float8, capacity from journal order by n`
  checkJournal(journal)
  const granted = journal.filter(({ status, was }) => status === 'ACTIVE' && was === 'WAITING')
  assert.ok(granted.length > 20, `${granted.length} grants`)
  await checkCounters(parts, journal)
})

interface Act {
  readonly log: string[]
  readonly below: (below: number) => number
  readonly isGranter: boolean
}

/** One of the things that happen to a room. */
async function act(parts: AdmissionParts, desk: PostgresDesk, { log, below, isGranter }: Act) {
  const { sql } = parts
  if (isGranter) {
    // The only one who reads the log, as a partition is read.
    const from = log.length
    log.push(...(await putSessions(sql, 1 + below(4))))
    await turn(parts, { joins: joinsOf(log.slice(from), from), changesTopic: CHANGES })
    return
  }
  // Mostly those whose turn it is about.
  const id = log[Math.max(0, log.length - 1 - below(40))]!
  switch (below(9)) {
    case 0:
      return turn(parts, { joins: joinsOf(log), changesTopic: CHANGES })
    case 1:
    case 2:
      return desk.leave(id)
    case 3:
      return desk.heartbeat(id)
    case 4:
      return Promise.all(log.slice(-50).map(one => desk.look(one)))
    case 5:
      return sql`
        update admission.sessions set lease_until = clock_timestamp() where status = 'ACTIVE' and random() < 0.3`
    case 6:
      return sql`
        update admission.sessions set seen_at = clock_timestamp() - interval '1 min'
        where status = 'WAITING' and random() < 0.2`
    case 7:
      return desk.setRoom(EVENT, { capacity: below(CAPACITY_MAX + 1) })
    default:
      return desk.pauseRoom(EVENT, below(3) === 0)
  }
}

function checkJournal(journal: readonly Entry[]): void {
  const waiting = new Map<string, number>()
  const active = new Set<string>()
  for (const entries of transactions(journal)) {
    let last = 0
    for (const { id, was, status, seq } of entries) {
      if (id === null) continue
      waiting.delete(id)
      active.delete(id)
      assert.ok(was === 'WAITING' || was === 'ACTIVE', `an end is final: ${was}`)
      if (status === 'ACTIVE') active.add(id)
      if (status === 'ACTIVE' && was === 'WAITING') last = Math.max(last, seq ?? 0)
      if (status === 'WAITING' && seq !== null) waiting.set(id, seq)
    }
    if (last === 0) continue
    const { capacity } = entries.at(-1)!
    assert.ok(active.size <= capacity, `${active.size} active of ${capacity}`)
    const before = [...waiting.values()].filter(seq => seq < last)
    assert.deepEqual(before, [], 'nobody who waits has an earlier place than one who was let in')
  }
}

/** Entries of a room's transactions do not mix, since each holds its row until it ends. */
function transactions(journal: readonly Entry[]): Entry[][] {
  const groups: Entry[][] = []
  for (const entry of journal) {
    const group = groups.at(-1)
    if (group?.[0]?.xid === entry.xid) group.push(entry)
    else groups.push([entry])
  }
  const xids = new Set(groups.map(([first]) => first?.xid))
  assert.equal(xids.size, groups.length, 'transactions of one room mix')
  return groups
}

async function checkCounters({ sql }: AdmissionParts, journal: readonly Entry[]): Promise<void> {
  const [seen] = await sql<{ active: number; in_order: boolean; sparse: boolean }[]>`
    select count(*) filter (where status = 'ACTIVE')::int as active,
      coalesce(bool_and(seq > before) filter (where seq is not null and before is not null), true) as in_order,
      count(seq) <> max(seq) as sparse
    from (select *, lag(seq) over (order by log_offset) as before from admission.sessions where seq is not null) s`
  const room = await roomOf(sql)
  const counted = (from: string, to: string) =>
    journal.filter(({ was, status }) => was === from && status === to).length
  assert.deepEqual([seen?.in_order, seen?.sparse], [true, false])
  assert.equal(room.active, seen?.active)
  assert.equal(room.granted, counted('WAITING', 'ACTIVE'))
  assert.equal(room.freed, counted('ACTIVE', 'LEFT') + counted('ACTIVE', 'EXPIRED'))
  const told = await toldTo(sql, CHANGES)
  const changes = journal.filter(({ was, status }) => was !== status && status !== null)
  assert.deepEqual(
    told.map(({ payload }) => `${payload.sessionId} ${payload.status}`).sort(),
    changes.map(({ id, status }) => `${id} ${status}`).sort(),
  )
}
