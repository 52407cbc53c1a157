import { SluiceError } from '../errors.ts'
import type { Log } from '../telemetry/log.ts'
import { boundedCall, CallTimeout } from './bounded-call.ts'
import type { ConsumerListener } from './consumer-events.ts'
import { DependencyBreaker, type DependencyState } from './dependency-breaker.ts'
import type { DependencyGate } from './gates.ts'
import { NotDone } from './message-handling.ts'
import { BadMessage, DependencyDown, RetryAt } from './outcome.ts'

export interface DependencyOptions {
  /**
   * Resolves when the dependency is there. It runs, for `callTimeoutMs` at most, each time the reset time is over.
   * Without it, a message finds out.
   */
  readonly probe?: (signal: AbortSignal) => Promise<void>
  /** How long it is left alone once it was found down; doubled each time it still is. Default 1,000. */
  readonly resetMs?: number
  /** Default 60,000. */
  readonly resetMaxMs?: number
  /** How long a call, or a probe, may take. Default 10,000. */
  readonly callTimeoutMs?: number
  /** Failed calls in a row that open the breaker. Default 3. */
  readonly failures?: number
  /**
   * Whether the dependency is to blame for an error of a call. Default: for all but BadMessage and RetryAt. One that
   * is not its fault counts as an answer.
   */
  readonly isFault?: (error: unknown) => boolean
}

export interface DependencyStatus {
  readonly name: string
  readonly state: DependencyState
  /** Why it was found down last; '' if it never was. */
  readonly reason: string
}

export interface DependenciesParts {
  readonly emit: ConsumerListener
  readonly log: Log
}

interface Dependency {
  readonly breaker: DependencyBreaker
  readonly callTimeoutMs: number
  readonly isFault: (error: unknown) => boolean
  /** It was not registered, only used. */
  readonly assumed: boolean
}

const DEFAULTS = { resetMs: 1_000, resetMaxMs: 60_000, callTimeoutMs: 10_000, failures: 3 }
const DURATION_MS_MAX = 2 ** 31 - 1
/** Names are given by code; that many come from a mistake, such as one name for each message. */
const DEPENDENCIES_MAX = 1_000

/** What handlers need besides the database: a circuit breaker for each. */
export class Dependencies implements DependencyGate {
  readonly #parts: DependenciesParts
  readonly #known = new Map<string, Dependency>()
  readonly #listeners = new Set<() => void>()
  #stopped = false

  constructor(parts: DependenciesParts) {
    this.#parts = parts
  }

  /** @throws SluiceError `options`: a bad option, or a name that is known already */
  register(name: string, options: DependencyOptions = {}): void {
    const known = this.#known.get(name)
    if (known) {
      const when = known.assumed ? ', because it was used: register it before' : ''
      throw new SluiceError('options', `dependency ${name} is known already${when}`)
    }
    this.#add(name, options, false)
  }

  admits(names: readonly string[]): 'all' | 'one' | 'none' {
    if (this.#stopped) return 'none'
    let admits: 'all' | 'one' = 'all'
    for (const name of names) {
      const one = this.#of(name).breaker.admits
      if (one === 'none') return 'none'
      if (one === 'one') admits = 'one'
    }
    return admits
  }

  failed(name: string, reason: string): void {
    if (!this.#stopped) this.#of(name).breaker.messageFailed(reason)
  }

  succeeded(names: readonly string[]): void {
    if (this.#stopped) return
    for (const name of names) this.#of(name).breaker.messageHandled()
  }

  onChange(listener: () => void): () => void {
    // One of its own, so that a listener that is given twice is taken off once at a time.
    const own = () => listener()
    this.#listeners.add(own)
    return () => {
      this.#listeners.delete(own)
    }
  }

  statuses(): DependencyStatus[] {
    return [...this.#known].map(
      ([
        name,
        {
          breaker: { state, reason },
        },
      ]) => ({
        name,
        state,
        reason,
      }),
    )
  }

  /**
   * Calls a dependency through its breaker.
   * @param work its signal is aborted with `signal`, and after the dependency's `callTimeoutMs`
   * @throws DependencyDown at once while the breaker is open, and when it fails or is too slow; the signal's reason;
   *   what `work` throws where `isFault` says no
   */
  async call<T>(
    name: string,
    work: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    if (this.#stopped) throw new SluiceError('lifecycle', `dependency ${name}: called after stop()`)
    signal.throwIfAborted()
    const { breaker, callTimeoutMs, isFault } = this.#of(name)
    const entry = breaker.enter()
    if (entry === null) throw new DependencyDown(name, new Error(breaker.reason))
    let error: unknown
    try {
      const result = await boundedCall(work, { signal, timeoutMs: callTimeoutMs })
      breaker.answered(entry)
      return result
    } catch (thrown) {
      error = thrown
    }
    const down = error instanceof DependencyDown ? error : null
    // A dependency of the dependency's, or the handler's own end: neither tells anything of this one.
    if (signal.aborted || (down && down.dependency !== name)) breaker.left(entry)
    else if (!down && !(error instanceof CallTimeout) && !isFault(error)) breaker.answered(entry)
    else {
      breaker.callFailed(entry, error)
      throw down ?? new DependencyDown(name, error)
    }
    throw error
  }

  /** Ends timers and probes. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#listeners.clear()
    await Promise.all([...this.#known.values()].map(({ breaker }) => breaker.stop()))
  }

  #of(name: string): Dependency {
    const known = this.#known.get(name)
    if (known) return known
    this.#parts.log.info({ dependency: name }, 'dependency is not registered; defaults are used')
    return this.#add(name, {}, true)
  }

  #add(name: string, options: DependencyOptions, assumed: boolean): Dependency {
    if (this.#known.size >= DEPENDENCIES_MAX) {
      const text = `dependency ${name} would be one more than ${DEPENDENCIES_MAX}: use a fixed set of names`
      throw new SluiceError('options', text)
    }
    const { probe = null, isFault = isFaultByDefault } = options
    const settings = numbersOf(name, options)
    const { emit } = this.#parts
    const breaker = new DependencyBreaker({ probe, ...settings }, (state, reason) => {
      emit({ kind: 'dependency_changed', dependency: name, state, reason })
      for (const listener of [...this.#listeners]) listener()
    })
    const { callTimeoutMs } = settings
    const dependency = { breaker, callTimeoutMs, isFault, assumed }
    this.#known.set(name, dependency)
    return dependency
  }
}

function isFaultByDefault(error: unknown): boolean {
  return !(error instanceof BadMessage || error instanceof RetryAt || error instanceof NotDone)
}

function numbersOf(name: string, options: DependencyOptions): typeof DEFAULTS {
  const numbers = { ...DEFAULTS }
  for (const field of Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]) {
    const value = options[field] ?? DEFAULTS[field]
    if (!Number.isInteger(value) || value < 1 || value > DURATION_MS_MAX) {
      const text = `dependency ${name}: ${field} must be an integer from 1 to ${DURATION_MS_MAX}`
      throw new SluiceError('options', text)
    }
    numbers[field] = value
  }
  if (numbers.resetMs > numbers.resetMaxMs) {
    throw new SluiceError('options', `dependency ${name}: resetMs must not exceed resetMaxMs`)
  }
  return numbers
}
