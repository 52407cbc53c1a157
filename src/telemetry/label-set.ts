/** A label's values, bounded: the first so many keep their name, all others count as `other`. */
export class LabelSet {
  readonly #known = new Set<string>()
  readonly #sizeMax: number

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax
  }

  bound(value: string): string {
    if (this.#known.has(value)) return value
    if (this.#known.size >= this.#sizeMax) return 'other'
    this.#known.add(value)
    return value
  }
}
