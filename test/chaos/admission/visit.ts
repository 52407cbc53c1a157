import type { Answer } from './door-client.ts'
import type { HappeningOf } from './history.ts'
import type { Visitor } from './visitor-plan.ts'

/** What may follow a status, besides itself. */
const AFTER: Readonly<Record<string, readonly string[]>> = {
  '': ['WAITING', 'ACTIVE', 'LEFT', 'EXPIRED', 'ABANDONED'],
  WAITING: ['ACTIVE', 'LEFT', 'EXPIRED', 'ABANDONED'],
  ACTIVE: ['LEFT', 'EXPIRED'],
}

export interface Request {
  readonly atMs: number
  /** Answers that had come by then. */
  readonly heard: number
}

/** One session as its visitor knows it. */
export class Visit {
  readonly sessionId: string
  readonly visitor: Visitor
  /** As it was last told. */
  status = ''
  /** When it last had an answer: what it asked is known by then. At first when it was let into the line. */
  lastSeenMs: number
  askedToLeave = false
  leftAs: string | null = null
  unknown = false
  #heard = 0
  #leaseToldMs: number | null = null
  #lastBeatMs: number | null = null
  #contradiction: string | null = null
  #turn: () => void = () => {}
  /** Resolves when it is let in, or ends while it waits. */
  readonly turn: Promise<void>

  constructor(sessionId: string, visitor: Visitor) {
    this.sessionId = sessionId
    this.visitor = visitor
    this.lastSeenMs = Date.now()
    this.turn = new Promise(settle => {
      this.#turn = settle
    })
  }

  get waits(): boolean {
    return this.status === '' || this.status === 'WAITING'
  }

  /** Somebody has said that its turn has come. */
  call(): void {
    this.#turn()
  }

  /** A request begins; its answer comes with what this returned. */
  ask(): Request {
    return { atMs: Date.now(), heard: this.#heard }
  }

  /** Takes note of an answer about it. */
  heard(asked: Request, { status, body }: Answer): void {
    if (status === 404) this.unknown = true
    if (status !== 200 || typeof body.status !== 'string') return
    const told = body.status
    const follows = told === this.status || (AFTER[this.status]?.includes(told) ?? false)
    // Of two requests at once the older answer may come last.
    const isAlone = asked.heard === this.#heard++
    if (!follows && isAlone) this.#contradiction ??= `${told} after ${this.status}`
    if (follows || isAlone) this.status = told
    // Whoever has ended is not seen any more.
    if (told === 'WAITING' || told === 'ACTIVE') {
      this.lastSeenMs = Date.now()
    }
    if (typeof body.leaseUntil === 'string' && told === 'ACTIVE') {
      this.#leaseToldMs = Math.max(this.#leaseToldMs ?? 0, Date.parse(body.leaseUntil))
    }
    if (!this.waits) this.#turn()
  }

  /** The answer to a heartbeat has been heard. */
  beaten(asked: Request): void {
    if (this.status === 'ACTIVE') this.#lastBeatMs = asked.atMs
  }

  told(): HappeningOf<'visited'> {
    const { sessionId, lastSeenMs, askedToLeave, leftAs, unknown } = this
    return {
      kind: 'visited',
      sessionId,
      lastSeenMs,
      lastBeatMs: this.#lastBeatMs,
      leaseToldMs: this.#leaseToldMs,
      askedToLeave,
      leftAs,
      contradiction: this.#contradiction,
      unknown,
    }
  }
}
