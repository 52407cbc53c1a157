/**
 * The circuit breaker of one destination, opossum's, that is fed with results. The work itself runs outside of it:
 * opossum's own time-out would call a late success a failure. opossum is there from the first failure to the next
 * success, so that three failures in a row open the breaker however many successes there were before.
 */
import CircuitBreaker from 'opossum'

/** Failures in a row, within the window, that open a breaker. */
const FAILURES_TO_OPEN = 3
const WINDOW_MS = 60_000

export type DestinationState = 'closed' | 'open' | 'half_open'

export class DestinationBreaker {
  readonly #resetMs: number
  readonly #onChange: (state: DestinationState, reason: string) => void
  #circuit: CircuitBreaker | null = null
  #reason = ''
  /** Someone else found it failing: the next try is a probe. */
  #suspected = false
  #probing = false

  /** @param resetMs how long it stays open before the next probe */
  constructor(resetMs: number, onChange: (state: DestinationState, reason: string) => void) {
    this.#resetMs = resetMs
    this.#onChange = onChange
  }

  get closed(): boolean {
    return !this.#suspected && (this.#circuit?.closed ?? true)
  }

  /** Nothing may be sent: it is open, or a probe is on its way. */
  get shut(): boolean {
    return !this.closed && (this.#probing || (this.#circuit?.opened ?? false))
  }

  /** It is open or half-open through failures of our own. */
  get failing(): boolean {
    return this.#circuit !== null && !this.#circuit.closed
  }

  /** Why it failed last. */
  get reason(): string {
    return this.#reason
  }

  /** Nothing is held against it, and it can be forgotten. */
  get idle(): boolean {
    return this.#circuit === null && !this.#suspected
  }

  suspect(): void {
    if (this.#circuit === null) this.#suspected = true
  }

  acquit(): void {
    this.#suspected = false
  }

  probe(): void {
    this.#probing = true
  }

  probeEnded(): void {
    this.#probing = false
  }

  /** A success that was under way when the breaker opened proves nothing of now. */
  succeed(): void {
    this.#suspected = false
    const circuit = this.#circuit
    if (circuit === null || circuit.opened) return
    circuit.close()
    this.stop()
  }

  fail(reason: string): void {
    this.#reason = reason
    const circuit = this.#circuit ?? this.#create()
    this.#circuit = circuit
    // A failed probe decides at once: opossum would count it only after others had seen the breaker half-open again.
    if (this.#suspected || circuit.halfOpen) circuit.open()
    // An open breaker refuses the result of work that was under way when it opened: nothing is lost by that.
    else circuit.fire().catch(() => {})
    this.#suspected = false
  }

  stop(): void {
    this.#circuit?.shutdown()
    this.#circuit = null
  }

  #create(): CircuitBreaker {
    const circuit = new CircuitBreaker(
      async () => {
        throw new Error(this.#reason)
      },
      {
        timeout: false,
        resetTimeout: this.#resetMs,
        errorThresholdPercentage: 50,
        volumeThreshold: FAILURES_TO_OPEN,
        rollingCountTimeout: WINDOW_MS,
        rollingCountBuckets: 6,
        rollingPercentilesEnabled: false,
        enableSnapshots: false,
      },
    )
    circuit.on('open', () => this.#onChange('open', this.#reason))
    circuit.on('halfOpen', () => this.#onChange('half_open', this.#reason))
    circuit.on('close', () => this.#onChange('closed', this.#reason))
    return circuit
  }
}
