import type { AdmissionHappening, HappeningOf, Status } from '../../chaos/admission/history.ts'

export const START_MS = 1_800_000_000_000
export const EVENT = 'e'
const GRACE_MS = 10_000
const TYPES: Readonly<Record<string, string>> = {
  ACTIVE: 'waiting-room.granted',
  LEFT: 'waiting-room.left',
  EXPIRED: 'waiting-room.expired',
  ABANDONED: 'waiting-room.abandoned',
}

export type Mutable<T> = { -readonly [K in keyof T]: T[K] }
export type Told = Mutable<AdmissionHappening>

/** Tells of one room as the journal, the topics and the visitors would. */
class Story {
  readonly told: Told[] = []
  readonly room = { capacity: 0, paused: false, active: 0, lastSeq: 0, granted: 0, freed: 0 }
  readonly #sessions = new Map<string, { status: Status; seq: number | null; userId: string }>()
  #n = 0
  #xact = 100
  #joins = 0
  #changes = 0

  tell(happening: AdmissionHappening): void {
    this.told.push(happening as Told)
  }

  /** Time goes on by 100 ms a transaction. */
  #row() {
    const atMs = START_MS + this.#xact * 100
    return { n: ++this.#n, xact: String(this.#xact), atMs, committedMs: atMs + 5, eventId: EVENT }
  }

  join(sessionId: string, userId = `user of ${sessionId}`): void {
    this.#xact++
    this.#sessions.set(sessionId, { status: 'WAITING', seq: null, userId })
    const log = { logPartition: null, logOffset: null, leaseUntilMs: null, seenMs: null }
    const made = { was: null, status: 'WAITING', seqWas: null, seq: null, roomHeld: false } as const
    this.tell({ kind: 'session_changed', ...this.#row(), sessionId, userId, ...made, ...log })
    const about = { sessionId, eventId: EVENT, userId }
    const place = { partition: 0, offset: this.#joins++, recordId: `join ${sessionId}`, key: EVENT }
    this.tell({ kind: 'join_record', ...place, ...about })
    this.tell({ kind: 'accepted', atMs: START_MS, ...about })
  }

  turn(...steps: readonly string[]): void {
    this.#xact++
    for (const step of steps) {
      const [what = '', value = ''] = step.split(' ')
      if (what === 'capacity') this.room.capacity = Number(value)
      else if (what === 'number') this.#number(value)
      else this.#change(value, what as Status)
    }
    const counted = { ...this.room, waitGraceMs: GRACE_MS, leaseMs: 1_000, renewable: true }
    this.tell({ kind: 'room_changed', ...this.#row(), ...counted })
  }

  #number(sessionId: string): void {
    const session = this.#known(sessionId)
    session.seq = ++this.room.lastSeq
    this.#tellChange(sessionId, 'WAITING', { seqWas: null })
  }

  #change(sessionId: string, status: Status): void {
    const session = this.#known(sessionId)
    const was = session.status
    if (was === 'ACTIVE') {
      this.room.active--
      this.room.freed++
    }
    if (status === 'ACTIVE') {
      this.room.active++
      this.room.granted++
    }
    session.status = status
    this.#tellChange(sessionId, was, { seqWas: session.seq })
    const { userId, seq } = session
    const place = { partition: 0, offset: this.#changes, key: EVENT }
    const recordId = `change ${this.#changes++}`
    const type = TYPES[status] ?? ''
    const about = { type, sessionId, eventId: EVENT, userId, status, seq }
    this.tell({ kind: 'change_record', ...place, recordId, ...about })
  }

  #tellChange(sessionId: string, was: Status, { seqWas }: { seqWas: number | null }): void {
    const { status, seq, userId } = this.#known(sessionId)
    const row = this.#row()
    const seen = { leaseUntilMs: row.atMs - 10, seenMs: row.atMs - GRACE_MS - 1, roomHeld: true }
    const log = { logPartition: 0, logOffset: 0, ...seen }
    this.tell({
      kind: 'session_changed',
      ...row,
      sessionId,
      userId,
      was,
      status,
      seqWas,
      seq,
      ...log,
    })
  }

  #known(sessionId: string) {
    const session = this.#sessions.get(sessionId)
    if (!session) throw new Error(`${sessionId} was never made`)
    return session
  }

  rest(): Told[] {
    for (const [sessionId, { status, seq, userId }] of this.#sessions) {
      const record = this.told.find(
        each => each.kind === 'join_record' && each.sessionId === sessionId,
      ) as HappeningOf<'join_record'>
      const logged = { logPartition: 0, logOffset: seq === null ? null : record.offset }
      this.tell({ kind: 'session', sessionId, eventId: EVENT, userId, status, seq, ...logged })
      const [askedToLeave, leftAs] = status === 'LEFT' ? [true, 'LEFT'] : [false, null]
      const asked = {
        lastSeenMs: START_MS,
        lastBeatMs: null,
        leaseToldMs: START_MS,
        askedToLeave,
        leftAs,
      }
      this.tell({ kind: 'visited', sessionId, ...asked, contradiction: null, unknown: false })
    }
    this.tell({ kind: 'room', eventId: EVENT, ...this.room })
    this.tell({ kind: 'rested', atMs: START_MS, drained: true, drainMs: 1, left: '' })
    this.tell({ kind: 'replayed', records: 6, differences: [] })
    this.tell({ kind: 'door_exited', atMs: START_MS, door: 'd', asked: 'SIGTERM', how: 0 })
    return this.told
  }
}

/** Two places, one later on; everybody's stay ends in one of the ways in which it can. */
export function sound(): Told[] {
  const story = new Story()
  story.tell({
    ...{ kind: 'campaign', atMs: START_MS, seed: 1, commit: 'c', joins: 6, rooms: 1, capacity: 2 },
  })
  story.turn('capacity 2')
  for (const id of ['s1', 's2', 's3', 's4']) story.join(id, `user of ${id}`)
  story.turn('number s1', 'number s2', 'number s3', 'ACTIVE s1', 'ACTIVE s2')
  story.turn('number s4')
  story.turn('LEFT s1', 'ACTIVE s3')
  story.join('s5', 'user of s1')
  story.join('s6')
  story.turn('number s5')
  story.turn('EXPIRED s2', 'ACTIVE s4')
  story.turn('capacity 1')
  story.turn('LEFT s3')
  story.turn('LEFT s6')
  story.join('s7')
  story.turn('number s7')
  story.turn('LEFT s4', 'ABANDONED s5', 'ACTIVE s7')
  story.turn('LEFT s7')
  return story.rest()
}
