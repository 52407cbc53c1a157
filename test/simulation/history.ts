interface Entry {
  readonly atMs: number
  readonly who: string
  readonly what: string
}

/** What happened, in order. Two runs of one seed have the same fingerprint. */
export class History {
  readonly #elapsedMs: () => number
  readonly #entries: Entry[] = []
  #hash = 0x811c9dc5

  constructor(elapsedMs: () => number) {
    this.#elapsedMs = elapsedMs
  }

  add(who: string, what: string): void {
    const entry = { atMs: this.#elapsedMs(), who, what }
    this.#entries.push(entry)
    this.#mix(`${entry.atMs}${who}${what}`)
  }

  get fingerprint(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0')
  }

  get length(): number {
    return this.#entries.length
  }

  /** The last lines, or all. */
  lines(count = this.#entries.length): string[] {
    return this.#entries
      .slice(Math.max(0, this.#entries.length - count))
      .map(({ atMs, who, what }) => `${atMs.toFixed(3).padStart(11)} ${who.padEnd(8)} ${what}`)
  }

  #mix(text: string): void {
    for (let index = 0; index < text.length; index++) {
      this.#hash = Math.imul(this.#hash ^ text.charCodeAt(index), 0x01000193)
    }
  }
}
