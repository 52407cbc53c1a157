import { setMaxListeners } from 'node:events'
import { pause } from '../../../src/internal/pause.ts'
import type { DoorClient } from './door-client.ts'
import type { AdmissionHistory } from './history.ts'
import { Visit } from './visit.ts'
import type { Visitor } from './visitor-plan.ts'

export interface VisitorsOptions {
  readonly client: DoorClient
  readonly history: AdmissionHistory
  readonly visitors: Iterable<Visitor>
  /** Joins under way at once. */
  readonly joinsAtOnce: number
  readonly heartbeatEveryMs: number
  /** How many at the head of each line ask now and then how it goes. */
  readonly windowOf: (eventId: string) => number
}

const SESSIONS = '/api/waiting-room/sessions'
const WINDOW_EVERY_MS = 100
/** One who waits at the head of the line asks so often. */
const ASK_EVERY_MS = 1_500
const ASKING_MAX = 200

/**
 * All visitors of a campaign. A hundred thousand cannot ask for their turn every few seconds: most learn of it from the
 * topic of the changes (`call`), and only those at the head of the line ask.
 */
export class Visitors {
  readonly #options: VisitorsOptions
  readonly #visits = new Map<string, Visit>()
  /** Turns that were told before the join was answered. */
  readonly #early = new Set<string>()
  /** Of each room, in the order of the answers to the joins, from the first who may still wait. */
  readonly #lines = new Map<string, Visit[]>()
  readonly #staying = new Set<Promise<void>>()
  readonly #stop = new AbortController()
  readonly #joining: Promise<void>
  readonly #asking: Promise<void>
  #allJoined = false
  #joined = 0
  #done = 0

  constructor(options: VisitorsOptions) {
    this.#options = options
    const rest = options.visitors[Symbol.iterator]()
    const workers = Array.from({ length: options.joinsAtOnce }, () => this.#joinSome(rest))
    // Everyone who waits for something listens to it.
    setMaxListeners(0, this.#stop.signal)
    this.#joining = Promise.all(workers).then(() => {
      this.#allJoined = true
    })
    this.#asking = this.#askAtHeads()
  }

  /** Visitors whose join was answered. */
  get joined(): number {
    return this.#joined
  }

  /** Sessions of which their visitors want no more. */
  get done(): number {
    return this.#done
  }

  /** The session was let in. */
  call(sessionId: string): void {
    const visit = this.#visits.get(sessionId)
    if (visit) visit.call()
    else this.#early.add(sessionId)
  }

  /** All have joined, and nobody wants anything any more. Those of no habit to leave may still be in. */
  get idle(): boolean {
    return this.#allJoined && this.#staying.size === 0
  }

  /** Everybody goes, wherever they are. */
  async stop(): Promise<void> {
    this.#stop.abort()
    for (const visit of this.#visits.values()) visit.call()
    await Promise.all([this.#joining, this.#asking, ...this.#staying])
    for (const visit of this.#visits.values()) this.#options.history.tell(visit.told())
  }

  async #joinSome(rest: Iterator<Visitor>): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const { value: visitor, done } = rest.next()
      if (done) return
      await this.#join(visitor)
      this.#joined++
    }
  }

  async #join(visitor: Visitor): Promise<void> {
    const { client, history } = this.#options
    const { eventId, userId, door, twice } = visitor
    const asked = { method: 'POST', path: SESSIONS, body: { eventId, userId } } as const
    const doors = twice ? [door, door + 1] : [door]
    const answers = await Promise.all(
      doors.map(each => client.ask({ ...asked, door: each }, this.#stop.signal)),
    )
    for (const answer of answers) {
      if (answer === null) continue
      const { sessionId } = answer.body
      if (answer.status !== 202 || typeof sessionId !== 'string') {
        const text = `a join of ${userId} was answered ${answer.status}`
        history.tell({ kind: 'note', atMs: Date.now(), text })
        continue
      }
      history.tell({ kind: 'accepted', atMs: Date.now(), sessionId, eventId, userId })
      if (!this.#visits.has(sessionId)) this.#receive(new Visit(sessionId, visitor))
    }
  }

  #receive(visit: Visit): void {
    const { sessionId, visitor } = visit
    this.#visits.set(sessionId, visit)
    const line = this.#lines.get(visitor.eventId)
    if (line) line.push(visit)
    else this.#lines.set(visitor.eventId, [visit])
    if (this.#early.delete(sessionId)) visit.call()
    const staying = this.#stay(visit).finally(() => {
      this.#done++
      this.#staying.delete(staying)
    })
    this.#staying.add(staying)
  }

  async #stay(visit: Visit): Promise<void> {
    const { visitor } = visit
    const { habit, stayMs } = visitor
    const { signal } = this.#stop
    if (habit === 'no_show') return
    if (habit === 'impatient') {
      await pause(stayMs, signal)
      return this.#leave(visit)
    }
    await visit.turn
    await this.#ask(visit, 'GET', '')
    if (visit.status !== 'ACTIVE' || habit === 'lapsing') return
    await this.#beInside(visit)
    await this.#leave(visit)
    if (habit === 'returning') await this.#join({ ...visitor, habit: 'guest' })
  }

  async #beInside(visit: Visit): Promise<void> {
    const { habit, stayMs } = visit.visitor
    const { signal } = this.#stop
    const untilMs = performance.now() + stayMs
    const { heartbeatEveryMs } = this.#options
    while (habit === 'staying' && untilMs - performance.now() > heartbeatEveryMs) {
      await pause(heartbeatEveryMs, signal)
      await this.#ask(visit, 'POST', '/heartbeat')
      if (visit.status !== 'ACTIVE') return
    }
    await pause(untilMs - performance.now(), signal)
  }

  async #leave(visit: Visit): Promise<void> {
    visit.askedToLeave = true
    const answered = await this.#ask(visit, 'POST', '/leave')
    if (answered) visit.leftAs = visit.status
  }

  async #ask(visit: Visit, method: 'GET' | 'POST', what: string): Promise<boolean> {
    const { sessionId, visitor } = visit
    const path = `${SESSIONS}/${sessionId}${what}`
    const asked = visit.ask()
    const answer = await this.#options.client.ask(
      { method, path, door: visitor.door },
      this.#stop.signal,
    )
    if (answer) visit.heard(asked, answer)
    if (answer?.status === 200 && what === '/heartbeat') visit.beaten(asked)
    return answer?.status === 200
  }

  /** Those at the head of each line look how far they are; so they are seen, and learn of a turn that nobody told. */
  async #askAtHeads(): Promise<void> {
    const { signal } = this.#stop
    const asking = new Map<Visit, Promise<void>>()
    while (!signal.aborted) {
      for (const [eventId, line] of this.#lines) {
        for (const visit of this.#headOf(eventId, line)) {
          if (asking.size >= ASKING_MAX || asking.has(visit)) continue
          const asked = this.#ask(visit, 'GET', '').then(() => void asking.delete(visit))
          asking.set(visit, asked)
        }
      }
      await pause(WINDOW_EVERY_MS, signal)
    }
    await Promise.all(asking.values())
  }

  #headOf(eventId: string, line: Visit[]): Visit[] {
    const window = this.#options.windowOf(eventId)
    const gone = line.findIndex(visit => visit.waits && visit.visitor.habit !== 'no_show')
    line.splice(0, gone < 0 ? line.length : gone)
    const nowMs = Date.now()
    return line.slice(0, window).filter(({ waits, visitor, lastSeenMs, askedToLeave }) => {
      const asks = visitor.habit !== 'no_show' && !askedToLeave
      return waits && asks && nowMs - lastSeenMs > ASK_EVERY_MS
    })
  }
}
