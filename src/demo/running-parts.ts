import { withDeadline } from '../internal/deadline.ts'

/** Something that was started and must be ended. */
export interface RunningPart {
  /** Ends it in order; resolves when it has ended. */
  stop(): Promise<void>
  /** Ends it at once. Default: `stop`. */
  kill?(): Promise<void> | void
}

/** What a run has started, ended in reverse order. */
export class RunningParts {
  readonly #parts: RunningPart[] = []

  add(part: RunningPart): void {
    this.#parts.push(part)
  }

  /** Someone else ends this part from now on. */
  forget(part: RunningPart): void {
    const index = this.#parts.indexOf(part)
    if (index >= 0) this.#parts.splice(index, 1)
  }

  /** Ends every part, even when one of them fails, then rejects with the first failure. */
  async stopAll(): Promise<void> {
    const failures: unknown[] = []
    for (let part = this.#parts.pop(); part; part = this.#parts.pop()) {
      await part.stop().catch((error: unknown) => failures.push(error))
    }
    if (failures.length > 0) throw failures[0]
  }

  /** Ends every part at once, all at the same time, and waits for `deadlineMs` at most. Never rejects. */
  async killAll(deadlineMs: number): Promise<void> {
    const parts = this.#parts.splice(0).reverse()
    const ends = parts.map(async part => (part.kill ? part.kill() : part.stop()))
    await withDeadline(Promise.allSettled(ends), deadlineMs, () => new Error('too slow')).catch(
      () => {},
    )
  }
}
