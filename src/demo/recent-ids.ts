/** Remembers at least the last `capacity` ids and at most twice as many. */
export class RecentIds {
  readonly #capacity: number
  #current = new Set<string>()
  #previous = new Set<string>()

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** @returns false when the id is already remembered */
  add(id: string): boolean {
    if (this.has(id)) return false
    if (this.#current.size >= this.#capacity) {
      this.#previous = this.#current
      this.#current = new Set()
    }
    this.#current.add(id)
    return true
  }

  has(id: string): boolean {
    return this.#current.has(id) || this.#previous.has(id)
  }
}
