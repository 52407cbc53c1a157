import { type DependencyGate, POSTGRES } from './gates.ts'

/** After a message has found something down nothing is started for so long, whatever the breaker says. */
const REST_MS = 100

export interface ReadinessParts {
  readonly gate: DependencyGate
  readonly needs: readonly string[]
  /** What is admitted may have changed. */
  readonly onChange: () => void
}

/** Whether messages may be handled, by what they need: as declared, and as handlers have found down. */
export class Readiness {
  readonly #gate: DependencyGate
  readonly #onChange: () => void
  readonly #declared: readonly string[]
  /** Found down by handlers without having been declared; until a message was handled again. */
  readonly #found = new Set<string>()
  #names: readonly string[]
  #admits: 'all' | 'one' | 'none' = 'all'
  #rest: NodeJS.Timeout | null = null
  readonly #unsubscribe: () => void

  constructor({ gate, needs, onChange }: ReadinessParts) {
    this.#gate = gate
    this.#onChange = onChange
    this.#declared = [...new Set([...needs, POSTGRES])]
    this.#names = this.#declared
    this.#admits = gate.admits(this.#names)
    this.#unsubscribe = gate.onChange(() => this.#look())
  }

  /** What the gate says. */
  get admits(): 'all' | 'one' | 'none' {
    return this.#admits
  }

  /** How many messages may be in work, of `max`. */
  allowance(max: number): number {
    if (this.#rest !== null || this.#admits === 'none') return 0
    return this.#admits === 'one' ? 1 : max
  }

  /** @returns false when the gate does not know the dependency and refuses to: it cannot be waited for */
  failed(dependency: string, reason: string): boolean {
    try {
      this.#gate.failed(dependency, reason)
    } catch {
      return false
    }
    if (!this.#declared.includes(dependency)) {
      this.#found.add(dependency)
      this.#names = [...this.#declared, ...this.#found]
    }
    this.rest()
    this.#look()
    return true
  }

  /** Nothing is started for a moment. */
  rest(): void {
    this.#rest ??= setTimeout(() => {
      this.#rest = null
      this.#look()
    }, REST_MS)
  }

  /** A message was handled. */
  succeeded(): void {
    this.#gate.succeeded(this.#names)
    if (this.#found.size === 0 || this.#gate.admits(this.#names) !== 'all') return
    this.#found.clear()
    this.#names = this.#declared
  }

  /** A message was parked: the database at least is there. */
  parked(): void {
    this.#gate.succeeded([POSTGRES])
  }

  stop(): void {
    if (this.#rest !== null) clearTimeout(this.#rest)
    this.#rest = null
    this.#unsubscribe()
  }

  #look(): void {
    this.#admits = this.#gate.admits(this.#names)
    this.#onChange()
  }
}
