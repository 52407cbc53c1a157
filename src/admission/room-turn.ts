import type { Tx } from '../consumer/tx.ts'
import { EVENTS_MAX, enqueue } from '../outbox/enqueue.ts'
import type { NewEvent } from '../outbox/new-event.ts'
import { arrayText } from '../postgres/array-text.ts'
import { countFreed } from './freed-rate.ts'
import { isSessionId, isWritable } from './ids.ts'
import {
  type Changed,
  type Counted,
  countStatement,
  endStatement,
  grantStatement,
  type LockedRoom,
  lockStatement,
  lockUnseenStatement,
  type NumberedJoin,
  numberStatement,
  planByIndex,
  type TurnLimits,
} from './turn-statements.ts'

export interface TakeTurn {
  /** In any order; what is there twice, or was there before, changes nothing. */
  readonly joins?: readonly NumberedJoin[]
  /** Ids of sessions that end by their visitors' wish. */
  readonly leaving?: readonly string[]
  /** Sessions that end if they still wait and were not seen for so long. */
  readonly forgotten?: { readonly ids: readonly string[]; readonly unseenMs: number }
  /** Where changes are told, through the outbox; null: nowhere. */
  readonly changesTopic?: string | null
}

/** How many sessions the turn has changed, by what became of them. */
export interface TurnReport {
  /** Joins that got their places. */
  readonly numbered: number
  /** Joins of sessions that are not there, or of another event. */
  readonly unknown: number
  readonly left: number
  readonly expired: number
  readonly granted: number
  readonly abandoned: number
  /** A limit ended the turn: the next one may find more to do at once. */
  readonly more: boolean
}

const LIMITS: TurnLimits = { grantsMax: 5_000, passedMax: 1_000, endsMax: 5_000 }

const NO_COUNTS = { numbered: 0, left: 0, expired: 0, granted: 0, abandoned: 0 }

/**
 * The only code that changes who is active in a room. It holds the room's row until the caller's transaction ends, and
 * looks at the sessions only once it has it, so that turns of one room are one after the other, and each sees what the
 * one before has committed: at every commit no more are active than the capacity allows. Of several rooms in one
 * transaction the caller owes turns in the order of their ids.
 *
 * In this order: joins get their places by the order of the log; who leaves ends; overdue leases end; free places are
 * given in the order of places, unless the room is paused.
 *
 * @param tx read committed
 * @returns all zero, and all joins unknown, when there is no such room
 */
export async function takeTurn(tx: Tx, eventId: string, work: TakeTurn = {}): Promise<TurnReport> {
  const { joins = [], changesTopic = null } = work
  const none = { ...NO_COUNTS, unknown: joins.length, more: false }
  // It comes from a record, which may hold anything.
  if (!isWritable(eventId)) return none
  const [, [room]] = await Promise.all([planByIndex(tx), lockStatement(tx, eventId)])
  if (!room) return none
  const { unknown, numbered } = await number(tx, eventId, joins)
  const ended = await end(tx, eventId, room, work)
  const freed = ended.filter(session => session.was_active).length
  const free = room.paused ? 0 : Math.max(0, room.capacity - room.active + freed)
  const places = Math.min(free, LIMITS.grantsMax)
  const admitted = places === 0 ? [] : await grant(tx, eventId, room, places)
  const changes = [...inOrder(ended), ...admitted]
  const report = reportOf(changes, { numbered, unknown })
  const isFull = report.granted === places
  const isLong = !isFull && admitted.length === places + LIMITS.passedMax
  let passedSeq = room.last_seq + numbered
  if (isFull || isLong) passedSeq = Math.max(room.passed_seq, admitted.at(-1)?.seq ?? 0)
  await Promise.all([
    count(tx, eventId, room, { numbered, freed, granted: report.granted, passedSeq }),
    tell(tx, eventId, changes, changesTopic),
  ])
  const isCut = (isFull && free > LIMITS.grantsMax) || isLong || report.expired === LIMITS.endsMax
  return { ...report, more: isCut }
}

async function grant(
  tx: Tx,
  eventId: string,
  room: LockedRoom,
  places: number,
): Promise<readonly Changed[]> {
  const statement = () => grantStatement(tx, eventId, room, places, LIMITS)
  if (room.grace_ms === null) return inOrder(await statement())
  // Sent together, and run one after the other.
  const [, admitted] = await Promise.all([
    lockUnseenStatement(tx, eventId, room, places, LIMITS),
    statement(),
  ])
  return inOrder(admitted)
}

async function number(
  tx: Tx,
  eventId: string,
  joins: readonly NumberedJoin[],
): Promise<{ unknown: number; numbered: number }> {
  const legible = joins.filter(join => isSessionId(join.sessionId))
  const illegible = joins.length - legible.length
  if (legible.length === 0) return { unknown: illegible, numbered: 0 }
  const [row] = await numberStatement(tx, eventId, legible)
  return { unknown: illegible + (row?.unknown ?? 0), numbered: row?.numbered ?? 0 }
}

function end(
  tx: Tx,
  eventId: string,
  { now }: LockedRoom,
  { leaving = [], forgotten }: TakeTurn,
): PromiseLike<readonly Changed[]> {
  const ends = {
    leaving: arrayText(leaving.filter(isSessionId)),
    forgotten: arrayText((forgotten?.ids ?? []).filter(isSessionId)),
    unseenMs: forgotten?.unseenMs ?? 0,
  }
  return endStatement(tx, eventId, now, ends, LIMITS)
}

async function count(
  tx: Tx,
  eventId: string,
  room: LockedRoom,
  change: Pick<Counted, 'numbered' | 'freed' | 'granted' | 'passedSeq'>,
): Promise<void> {
  const { numbered, freed, granted, passedSeq } = change
  if (numbered + freed + granted === 0 && passedSeq === room.passed_seq) return
  const { freed_weight: weight, freed_age_ms: ageMs, freed_open_ms: openMs } = room
  const window = countFreed({ weight, ageMs, openMs }, freed)
  const counted = { ...change, freedWeight: window.weight, isNewWindow: window.isNew }
  await countStatement(tx, eventId, room.now, counted)
}

const EVENT_TYPES = {
  ACTIVE: 'waiting-room.granted',
  LEFT: 'waiting-room.left',
  EXPIRED: 'waiting-room.expired',
  ABANDONED: 'waiting-room.abandoned',
} as const

async function tell(
  tx: Tx,
  eventId: string,
  changes: readonly Changed[],
  topic: string | null,
): Promise<void> {
  if (topic === null) return
  const events = changes.map(({ id, user_id, status, seq }): NewEvent => {
    const payload = { sessionId: id, eventId, userId: user_id, status, seq }
    return { topic, key: eventId, eventType: EVENT_TYPES[status], payload }
  })
  for (let at = 0; at < events.length; at += EVENTS_MAX) {
    await enqueue(tx, events.slice(at, at + EVENTS_MAX))
  }
}

function inOrder(changes: readonly Changed[]): readonly Changed[] {
  return [...changes].sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0))
}

function reportOf(
  changes: readonly Changed[],
  { numbered, unknown }: { numbered: number; unknown: number },
): Omit<TurnReport, 'more'> {
  const of = (status: Changed['status']) =>
    changes.filter(session => session.status === status).length
  return {
    numbered,
    unknown,
    left: of('LEFT'),
    expired: of('EXPIRED'),
    granted: of('ACTIVE'),
    abandoned: of('ABANDONED'),
  }
}
