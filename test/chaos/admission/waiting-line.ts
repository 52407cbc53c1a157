/** Those who are numbered and wait, by their numbers, which grow. */
export class WaitingLine {
  readonly #waiting = new Set<number>()
  readonly #given = new Set<number>()
  /** Nobody waits with a lower number. */
  #from = 1
  #last = 0

  /** The highest number so far. */
  get last(): number {
    return this.#last
  }

  /**
   * @param above what was the highest number when the transaction began; within one they may come in any order
   * @returns whether the number is new
   */
  number(seq: number, above: number): boolean {
    const isNew = seq > above && !this.#given.has(seq)
    this.#given.add(seq)
    this.#last = Math.max(this.#last, seq)
    return isNew
  }

  enter(seq: number): void {
    this.#waiting.add(seq)
    this.#from = Math.min(this.#from, seq)
  }

  leave(seq: number): void {
    this.#waiting.delete(seq)
  }

  /** Null: nobody waits. */
  first(): number | null {
    if (this.#waiting.size === 0) return null
    while (!this.#waiting.has(this.#from)) this.#from++
    return this.#from
  }
}
