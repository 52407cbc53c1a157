import { describeError } from '../errors.ts'
import { endsWithin } from '../internal/ends-within.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import type { AdmissionDesk } from './admission-desk.ts'
import type { Session } from './session.ts'

const LOOK_EVERY_MS = 1_000
/** Sessions looked at together: the visitors who poll are answered between two such groups. */
const GROUP_SIZE = 500
const STOP_DEADLINE_MS = 500

/** One who follows a session. Neither method may reject. */
export interface SessionWatcher {
  /** The session as it is, changed or not; null: it is unknown by now. */
  show(session: Session | null): Promise<void>
  /** Comes about once a second, also while the database is away. */
  beat(): void
  /** The feed stops. */
  close(): void
}

export interface SessionFeedOptions {
  readonly desk: Pick<AdmissionDesk, 'look'>
  /** The sessions cannot be looked at; told once for each outage. */
  readonly onFault: (reason: string) => void
}

/**
 * Looks at all watched sessions once a second, in one loop for the whole process, and shows each to whoever watches
 * it. A look counts as a sign of life, so one who watches keeps the place.
 */
export class SessionFeed {
  readonly #options: SessionFeedOptions
  readonly #watched = new Map<string, Set<SessionWatcher>>()
  readonly #stopping = new AbortController()
  readonly #loop: Promise<void>
  #faulty = false

  private constructor(options: SessionFeedOptions) {
    this.#options = options
    this.#loop = this.#run()
  }

  static start(options: SessionFeedOptions): SessionFeed {
    return new SessionFeed(options)
  }

  /**
   * Closes the watcher at once if the feed has stopped meanwhile.
   * @returns ends the watch; safe to call twice
   */
  watch(sessionId: string, watcher: SessionWatcher): () => void {
    if (this.#stopping.signal.aborted) {
      watcher.close()
      return () => {}
    }
    const watchers = this.#watched.get(sessionId) ?? new Set()
    watchers.add(watcher)
    this.#watched.set(sessionId, watchers)
    return () => {
      watchers.delete(watcher)
      if (watchers.size === 0 && this.#watched.get(sessionId) === watchers) {
        this.#watched.delete(sessionId)
      }
    }
  }

  /** Closes all watchers. A look that is under way ends by itself, within its statement's time-out. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const watcher of this.#watchers()) watcher.close()
    this.#watched.clear()
    await endsWithin(this.#loop, { durationMs: STOP_DEADLINE_MS })
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const startedAtMs = monotonicMs()
      for (const watcher of this.#watchers()) watcher.beat()
      await this.#lookAround()
      await pause(LOOK_EVERY_MS - (monotonicMs() - startedAtMs), signal)
    }
  }

  async #lookAround(): Promise<void> {
    const ids = [...this.#watched.keys()]
    for (let from = 0; from < ids.length; from += GROUP_SIZE) {
      const group = ids.slice(from, from + GROUP_SIZE)
      const looks = await Promise.all(group.map(id => this.#look(id)))
      if (this.#stopping.signal.aborted) return
      // One group that the database did not answer says enough of the others.
      if (looks.every(answered => !answered)) return
    }
  }

  /** @returns false: it could not be looked at */
  async #look(sessionId: string): Promise<boolean> {
    try {
      const session = await this.#options.desk.look(sessionId)
      if (this.#stopping.signal.aborted) return true
      this.#faulty = false
      const watchers = [...(this.#watched.get(sessionId) ?? [])]
      await Promise.all(watchers.map(watcher => watcher.show(session)))
      return true
    } catch (error) {
      this.#tell(error)
      return false
    }
  }

  #tell(error: unknown): void {
    if (this.#faulty || this.#stopping.signal.aborted) return
    this.#faulty = true
    this.#options.onFault(describeError(error))
  }

  *#watchers(): Generator<SessionWatcher> {
    for (const watchers of [...this.#watched.values()]) yield* [...watchers]
  }
}
