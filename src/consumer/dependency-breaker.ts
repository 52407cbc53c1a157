/**
 * The circuit breaker of one dependency. Closed: all goes. Open: nothing goes, for a random half to whole of the reset
 * time. Half-open: the probe decides, or, where there is none, the first call or message does. Each time it is found
 * down again the reset time doubles, and it begins anew only when real work has succeeded: a probe may be content with
 * less than the work needs.
 *
 * opossum is there from the opening to the closing and is told what has happened; results of calls that began before
 * the last change of state prove nothing of now and are left out.
 */
import CircuitBreaker from 'opossum'
import { describeError } from '../errors.ts'
import { boundedCall } from './bounded-call.ts'

export type DependencyState = 'closed' | 'open' | 'half_open'

export interface DependencyBreakerOptions {
  /** Resolves when the dependency is there. Its signal is aborted after `callTimeoutMs`, and by `stop`. */
  readonly probe: ((signal: AbortSignal) => Promise<void>) | null
  /** How long it stays open the first time, at most. */
  readonly resetMs: number
  readonly resetMaxMs: number
  readonly callTimeoutMs: number
  /** Failed calls in a row that open it. */
  readonly failures: number
}

/** A call that was let through; hand it back with its result. */
export interface Entry {
  readonly era: number
}

const REASON_CHARS_MAX = 500
/** More would be beyond every reset time. */
const DOUBLINGS_MAX = 30

export class DependencyBreaker {
  readonly #options: DependencyBreakerOptions
  readonly #onChange: (state: DependencyState, reason: string) => void
  readonly #stopped = new AbortController()
  #circuit: CircuitBreaker | null = null
  #reason = ''
  /** Failed calls in a row. */
  #failed = 0
  /** Of them, those that the messages which made the calls may yet tell once more. */
  #untold = 0
  /** How often in a row it was opened, without work succeeding in between. */
  #openings = 0
  /** Grows with each change of state. */
  #era = 0
  /** Half-open: the call that decides is on its way. */
  #trying = false
  #probing: Promise<void> = Promise.resolve()

  constructor(
    options: DependencyBreakerOptions,
    onChange: (state: DependencyState, reason: string) => void,
  ) {
    this.#options = options
    this.#onChange = onChange
  }

  get state(): DependencyState {
    if (this.#circuit === null) return 'closed'
    return this.#circuit.halfOpen ? 'half_open' : 'open'
  }

  /** Why it was found down last; '' before the first time. */
  get reason(): string {
    return this.#reason
  }

  get admits(): 'all' | 'one' | 'none' {
    const state = this.state
    if (state === 'closed') return 'all'
    return state === 'half_open' && this.#options.probe === null ? 'one' : 'none'
  }

  /** @returns null: not now */
  enter(): Entry | null {
    if (this.#stopped.signal.aborted) return null
    const admits = this.admits
    if (admits === 'none' || (admits === 'one' && this.#trying)) return null
    this.#trying = admits === 'one'
    return { era: this.#era }
  }

  /** The dependency has answered, if only to refuse. */
  answered({ era }: Entry): void {
    if (era !== this.#era) return
    this.#trying = false
    this.#works()
  }

  /** The call failed, through the dependency's fault. */
  callFailed({ era }: Entry, error: unknown): void {
    if (era !== this.#era) return
    this.#trying = false
    this.#failed++
    this.#reason = reasonOf(describeError(error))
    if (this.state === 'half_open' || this.#failed >= this.#options.failures) this.#reopen()
    // A handler may live with a failed call and tell nothing, so no more are expected than can matter.
    else this.#untold = Math.min(this.#untold + 1, this.#options.failures - 1)
  }

  /** The call ended without telling anything of the dependency. */
  left({ era }: Entry): void {
    if (era === this.#era) this.#trying = false
  }

  /** A message that needs it was handled. That says little while its calls fail and the handler lives with it. */
  messageHandled(): void {
    if (!this.#trying && this.#failed === 0 && this.admits !== 'none') this.#works()
  }

  /** A message found it down: by a call, which was counted, or by itself, which opens it at once. */
  messageFailed(reason: string): void {
    if (this.admits === 'none') return
    if (this.#untold > 0) this.#untold--
    else {
      this.#reason = reasonOf(reason)
      this.#reopen()
    }
  }

  /** Ends the timer and the probe. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Error('stopped'))
    this.#circuit?.shutdown()
    await this.#probing
  }

  #works(): void {
    this.#openings = 0
    this.#failed = 0
    if (this.#circuit !== null) this.#close()
  }

  #close(): void {
    this.#circuit?.shutdown()
    this.#circuit = null
    this.#changed()
  }

  #reopen(): void {
    if (this.#stopped.signal.aborted) return
    const { resetMs, resetMaxMs } = this.#options
    const doublings = Math.min(this.#openings++, DOUBLINGS_MAX)
    const resetTimeout = Math.min(resetMaxMs, resetMs * 2 ** doublings)
    this.#failed = 0
    this.#circuit?.shutdown()
    // opossum does not take another reset time, so each opening has a circuit of its own.
    this.#circuit = circuitOf(Math.ceil(resetTimeout * (0.5 + Math.random() / 2)))
    this.#circuit.on('halfOpen', () => this.#halfOpened())
    this.#circuit.open()
    this.#changed()
  }

  #halfOpened(): void {
    this.#changed()
    const { probe } = this.#options
    if (probe !== null) this.#probing = this.#probe(probe)
  }

  async #probe(probe: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#stopped
    try {
      // Within a function, so that what the probe throws at once is a failure like others.
      await boundedCall(async own => probe(own), {
        signal,
        timeoutMs: this.#options.callTimeoutMs,
      })
      if (!signal.aborted) this.#close()
    } catch (error) {
      if (signal.aborted) return
      this.#reason = reasonOf(describeError(error))
      this.#reopen()
    }
  }

  #changed(): void {
    this.#era++
    this.#untold = 0
    this.#trying = false
    this.#onChange(this.state, this.#reason)
  }
}

function reasonOf(text: string): string {
  return text.slice(0, REASON_CHARS_MAX)
}

function circuitOf(resetTimeout: number): CircuitBreaker {
  return new CircuitBreaker(async () => {}, {
    timeout: false,
    resetTimeout,
    rollingPercentilesEnabled: false,
    enableSnapshots: false,
  })
}
