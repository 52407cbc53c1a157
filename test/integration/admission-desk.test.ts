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
