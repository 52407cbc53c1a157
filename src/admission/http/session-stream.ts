import type { AdmissionTokens } from '../admission-token.ts'
import type { Session } from '../session.ts'
import type { SessionWatcher } from '../session-feed.ts'
import { END_SUFFIX, type EventStream } from './event-stream.ts'
import { hasEnded, viewSession } from './session-view.ts'

/**
 * Tells one client what becomes of a session: `snapshot` first, then `position` while it waits, `active` once it is
 * and each time its lease is extended, `ended` last.
 */
export class SessionStream implements SessionWatcher {
  readonly #stream: EventStream
  readonly #tokens: AdmissionTokens
  #shown: Session

  private constructor(stream: EventStream, tokens: AdmissionTokens, session: Session) {
    this.#stream = stream
    this.#tokens = tokens
    this.#shown = session
  }

  static async open(
    stream: EventStream,
    tokens: AdmissionTokens,
    session: Session,
  ): Promise<SessionStream> {
    stream.send('snapshot', await viewSession(session, tokens))
    const opened = new SessionStream(stream, tokens, session)
    if (hasEnded(session)) await opened.#end(session)
    return opened
  }

  async show(session: Session | null): Promise<void> {
    if (this.#stream.closed) return
    // A session that is forgotten has ended long before.
    if (session === null) return this.#stream.end('unknown')
    const before = this.#shown
    this.#shown = session
    if (hasEnded(session)) return this.#end(session)
    const event = eventOf(before, session)
    if (event === null) this.#shown = before
    else this.#stream.send(event, await viewSession(session, this.#tokens))
  }

  beat(): void {
    this.#stream.beat()
  }

  close(): void {
    this.#stream.end('the server stops; connect again')
  }

  async #end(session: Session): Promise<void> {
    this.#stream.send('ended', await viewSession(session, this.#tokens), END_SUFFIX)
    this.#stream.end()
  }
}

/** Null: nothing that is worth telling has changed. */
function eventOf(before: Session, now: Session): 'position' | 'active' | null {
  if (now.status === 'ACTIVE') {
    const same = before.status === 'ACTIVE' && time(before) === time(now)
    return same ? null : 'active'
  }
  const moved = before.position !== now.position
  return moved || differs(before.estimatedWaitMs, now.estimatedWaitMs) ? 'position' : null
}

function time({ leaseUntil }: Session): number | undefined {
  return leaseUntil?.getTime()
}

/** Estimates swing a little all the time; a visitor cares for more than that. */
function differs(before: number | null, now: number | null): boolean {
  if (before === null || now === null) return before !== now
  return Math.abs(now - before) > Math.max(5_000, before / 5)
}
