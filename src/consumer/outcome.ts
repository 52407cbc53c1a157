/**
 * What became of handling one message.
 * `done` its effects are committed · `retry` again at `at`, or after the subscription's backoff; an attempt is spent ·
 * `hold` it waits until someone resumes it · `bad` it can never be handled: a dead letter · `down` not its fault: what
 * it needs is not there, nothing is spent and the subscription pauses · `drop` there is nothing to do.
 */
export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'retry'; readonly at?: Date; readonly reason: string }
  | { readonly kind: 'hold'; readonly reason: string }
  | { readonly kind: 'bad'; readonly reason: string }
  | { readonly kind: 'down'; readonly dependency: string; readonly reason: string }
  | { readonly kind: 'drop'; readonly why: 'duplicate' | 'expired' | 'ignored' }

export const DONE: Outcome = Object.freeze({ kind: 'done' })

/** Thrown by a codec or a handler: the message itself is at fault, and trying again cannot help. */
export class BadMessage extends Error {
  override readonly name = 'BadMessage'
}

/** Thrown by a handler: again at the given time, not before. */
export class RetryAt extends Error {
  override readonly name = 'RetryAt'
  readonly at: Date

  constructor(at: Date, reason: string) {
    super(reason)
    this.at = at
  }
}

/** Thrown by a handler, and by `context.call` while a breaker is open: what the message needs is not there. */
export class DependencyDown extends Error {
  override readonly name = 'DependencyDown'
  readonly dependency: string

  constructor(dependency: string, cause?: unknown) {
    super(`dependency ${dependency} is down`, cause === undefined ? undefined : { cause })
    this.dependency = dependency
  }
}
