import type { Findings } from './admission-rules.ts'
import type { CaseFile, Turn } from './case-file.ts'
import type { SessionChanged, Status } from './history.ts'
import { WaitingLine } from './waiting-line.ts'

const NEXT: Readonly<Record<Status, readonly Status[]>> = {
  WAITING: ['ACTIVE', 'LEFT', 'ABANDONED'],
  ACTIVE: ['LEFT', 'EXPIRED'],
  LEFT: [],
  EXPIRED: [],
  ABANDONED: [],
}

/** How long something was owed. */
export interface Delay {
  readonly fromMs: number
  readonly forMs: number
  readonly disturbed: boolean
}

export interface Delays {
  /** A place was free, somebody waited, and nobody was let in. */
  readonly idle: readonly Delay[]
  /** A lease was over, and its session had its place still. */
  readonly overdue: readonly Delay[]
}

/**
 * Walks through each room's transactions and judges what was true at each commit.
 * @param withinMs a place that is free, or held by nobody any more, is given to the next within this time, but near faults
 */
export function judgeTurns(file: CaseFile, findings: Findings, withinMs: number): Delays {
  const idle: Delay[] = []
  const overdue: Delay[] = []
  for (const [eventId, turns] of file.turns) {
    const walk = new RoomWalk(eventId, { file, findings, withinMs })
    for (const turn of turns) walk.take(turn)
    for (const delay of walk.idle) idle.push(delay)
    for (const delay of walk.overdue) overdue.push(delay)
  }
  return { idle, overdue }
}

class RoomWalk {
  readonly idle: Delay[] = []
  readonly overdue: Delay[] = []
  readonly #eventId: string
  readonly #file: CaseFile
  readonly #findings: Findings
  readonly #withinMs: number
  readonly #line = new WaitingLine()
  readonly #statuses = new Map<string, Status>()
  readonly #xacts = new Set<string>()
  #committedMs = 0
  #capacity = 0
  #paused = false
  #waitGraceMs: number | null = null
  /** What a heartbeat gives; null: nothing. */
  #renewedForMs: number | null = null
  #active = 0
  #granted = 0
  #freed = 0
  /** Since when a place is owed to somebody; null: none is. */
  #owedSinceMs: number | null = null

  constructor(
    eventId: string,
    { file, findings, withinMs }: { file: CaseFile; findings: Findings; withinMs: number },
  ) {
    this.#eventId = eventId
    this.#file = file
    this.#findings = findings
    this.#withinMs = withinMs
  }

  take(turn: Turn): void {
    this.#judgeOrder(turn)
    if (turn.room) {
      this.#capacity = turn.room.capacity
      this.#paused = turn.room.paused
      this.#waitGraceMs = turn.room.waitGraceMs
      this.#renewedForMs = turn.room.renewable ? turn.room.leaseMs : null
    }
    const grantedBefore = this.#granted
    let highest = 0
    // Numbers first: who was numbered and let in, or numbered only, is in line before anyone is looked for.
    const above = this.#line.last
    for (const change of turn.sessions) this.#number(change, above)
    for (const change of turn.sessions) {
      if (change.was !== change.status) highest = Math.max(highest, this.#change(change))
    }
    if (this.#granted > grantedBefore) this.#judgeGrants(turn, highest)
    this.#judgeCounters(turn)
    this.#lookForIdlePlaces(turn, this.#granted > grantedBefore)
  }

  #found(rule: Parameters<Findings['add']>[0], text: string): void {
    this.#findings.add(rule, `${this.#eventId}: ${text}`)
  }

  /** The journal's order is that of the commits: each transaction had the room to itself. */
  #judgeOrder({ xact, committedMs, sessions }: Turn): void {
    if (this.#xacts.has(xact)) this.#found('turns_interleaved', `transaction ${xact}`)
    this.#xacts.add(xact)
    if (committedMs < this.#committedMs) {
      this.#found('commits_out_of_order', `transaction ${xact} at ${committedMs}`)
    }
    this.#committedMs = Math.max(this.#committedMs, committedMs)
    const free = sessions.find(({ roomHeld }) => !roomHeld)
    if (free) this.#found('room_not_held', `transaction ${xact}: ${told(free)}`)
  }

  #number({ seqWas, seq, sessionId, was }: SessionChanged, above: number): void {
    if (seq === seqWas) return
    if (seqWas !== null || seq === null) {
      this.#found('numbered_twice', `${sessionId}: ${seqWas}, then ${seq}`)
      return
    }
    if (!this.#line.number(seq, above)) this.#found('number_not_above', `${sessionId}: ${seq}`)
    if (was === 'WAITING') this.#line.enter(seq)
  }

  /** @returns the number of whoever was let in, else 0 */
  #change(change: SessionChanged): number {
    const { sessionId, was, status, seq } = change
    const known = this.#statuses.get(sessionId) ?? 'WAITING'
    const legal = was === known && status !== null && NEXT[known].includes(status)
    if (!legal) this.#found('wrong_transition', `${told(change)}, known as ${known}`)
    if (status !== null) this.#statuses.set(sessionId, status)
    if (was === 'WAITING' && seq !== null) this.#line.leave(seq)
    if (was === 'ACTIVE') {
      this.#active--
      this.#freed++
    }
    if (status === 'EXPIRED') this.#judgeExpiry(change)
    if (status === 'ABANDONED') this.#judgeAbandoning(change)
    if (status !== 'ACTIVE') return 0
    this.#active++
    this.#granted++
    if (seq === null) this.#found('granted_unnumbered', sessionId)
    return seq ?? 0
  }

  #judgeGrants({ xact }: Turn, highest: number): void {
    // Capacity lowered below what is active evicts nobody, but then nobody is let in either.
    if (this.#active > this.#capacity) {
      const how = `${this.#active} active, capacity ${this.#capacity}`
      this.#found('over_capacity', `${how}, transaction ${xact}`)
    }
    if (this.#paused) this.#found('granted_while_paused', `transaction ${xact}`)
    const first = this.#line.first()
    if (first !== null && first < highest) {
      this.#found('overtaken', `${highest} was let in while ${first} waited, transaction ${xact}`)
    }
  }

  #judgeExpiry({ sessionId, atMs, leaseUntilMs }: SessionChanged): void {
    if (leaseUntilMs === null || atMs < leaseUntilMs) {
      this.#found('expired_early', `${sessionId}: at ${atMs}, lease until ${leaseUntilMs}`)
      return
    }
    const visit = this.#file.visits.get(sessionId)
    // What a visitor was told, and what the heartbeat gave that was answered.
    const beatMs = this.#renewedForMs === null ? 0 : (visit?.lastBeatMs ?? 0) + this.#renewedForMs
    const promisedMs = Math.max(visit?.leaseToldMs ?? 0, visit?.lastBeatMs ? beatMs : 0)
    if (atMs < promisedMs) {
      this.#found('lease_cut', `${sessionId}: at ${atMs}, promised until ${promisedMs}`)
    }
    const delay = this.#delay(leaseUntilMs, atMs)
    this.overdue.push(delay)
    if (this.#isLate(delay))
      this.#found('expired_late', `${sessionId}: ${Math.round(delay.forMs)} ms`)
  }

  #judgeAbandoning({ sessionId, atMs, seenMs }: SessionChanged): void {
    const graceMs = this.#waitGraceMs
    if (graceMs === null || seenMs === null || atMs - seenMs < graceMs) {
      this.#found('abandoned_wrongly', `${sessionId}: at ${atMs}, seen ${seenMs}`)
      return
    }
    const lastMs = this.#file.visits.get(sessionId)?.lastSeenMs ?? 0
    // What was asked may be written down a quarter of the grace late.
    const soon = lastMs < atMs && atMs - lastMs < graceMs / 2
    if (soon && !this.#file.disturbed(lastMs, atMs)) {
      this.#found('abandoned_while_seen', `${sessionId}: at ${atMs}, it was answered at ${lastMs}`)
    }
  }

  /** The room's own counters are those of the journal at every commit. */
  #judgeCounters({ xact, sessions, room }: Turn): void {
    if (!room) {
      if (sessions.some(({ was, status }) => was === 'ACTIVE' || status === 'ACTIVE')) {
        this.#found('counters_off', `transaction ${xact} did not count`)
      }
      return
    }
    const is = [room.active, room.granted, room.freed, room.lastSeq]
    const due = [this.#active, this.#granted, this.#freed, this.#line.last]
    if (is.join() !== due.join()) {
      this.#found('counters_off', `transaction ${xact}: ${is.join()}, not ${due.join()}`)
    }
  }

  #lookForIdlePlaces({ committedMs }: Turn, someoneCameIn: boolean): void {
    const isOwed = !this.#paused && this.#active < this.#capacity && this.#line.first() !== null
    const sinceMs = this.#owedSinceMs
    if (sinceMs !== null && (someoneCameIn || !isOwed)) {
      const delay = this.#delay(sinceMs, committedMs)
      this.idle.push(delay)
      if (this.#isLate(delay)) {
        this.#found('place_left_free', `for ${Math.round(delay.forMs)} ms from ${sinceMs}`)
      }
      this.#owedSinceMs = null
    }
    if (isOwed) this.#owedSinceMs ??= committedMs
  }

  #isLate({ forMs, disturbed }: Delay): boolean {
    return forMs > this.#withinMs && !disturbed
  }

  #delay(fromMs: number, toMs: number): Delay {
    return { fromMs, forMs: toMs - fromMs, disturbed: this.#file.disturbed(fromMs, toMs) }
  }
}

function told({ sessionId, was, status }: SessionChanged): string {
  return `${sessionId} ${was} → ${status}`
}
