/** One record on its way, as far as committing is concerned. */
export interface Mark {
  readonly offset: bigint
  finished: boolean
}

/** Finished marks in front of the first unfinished one are thrown away together, so that none costs a move of all. */
const SWEEP_AT = 1_024

/**
 * How far a partition may be committed: up to the first record that is not finished. Records come in offset order and
 * finish in any; offsets may be missing in between.
 */
export class Watermark {
  #marks: Mark[] = []
  #first = 0
  #position: bigint | null = null

  /** The offset behind the finished ones; null until there is something to commit. */
  get position(): bigint | null {
    return this.#position
  }

  /** Marks that are kept. */
  get size(): number {
    return this.#marks.length - this.#first
  }

  /** @param offset above all before */
  add(offset: bigint): Mark {
    const mark: Mark = { offset, finished: false }
    this.#marks.push(mark)
    return mark
  }

  finish(mark: Mark): void {
    mark.finished = true
    if (this.#marks[this.#first] === mark) this.#advance()
  }

  /** Nothing below `nextOffset` will come any more but what was added: transaction markers and gaps count as finished. */
  reach(nextOffset: bigint): void {
    this.#marks.push({ offset: nextOffset - 1n, finished: true })
    this.#advance()
  }

  #advance(): void {
    let mark = this.#marks[this.#first]
    while (mark?.finished) {
      this.#position = mark.offset + 1n
      mark = this.#marks[++this.#first]
    }
    if (this.#first < SWEEP_AT || this.#first * 2 < this.#marks.length) return
    this.#marks = this.#marks.slice(this.#first)
    this.#first = 0
  }
}
