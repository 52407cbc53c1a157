interface Node<T> {
  readonly value: T
  next: Node<T> | null
}

/** A queue that costs the same however long it is; an array's `shift` does not. */
export class Fifo<T> {
  #first: Node<T> | null = null
  #last: Node<T> | null = null
  #size = 0

  get size(): number {
    return this.#size
  }

  push(value: T): void {
    const node: Node<T> = { value, next: null }
    if (this.#last) this.#last.next = node
    else this.#first = node
    this.#last = node
    this.#size++
  }

  /** It becomes the first. */
  unshift(value: T): void {
    const node: Node<T> = { value, next: this.#first }
    this.#first = node
    this.#last ??= node
    this.#size++
  }

  shift(): T | undefined {
    const node = this.#first
    if (node === null) return undefined
    this.#first = node.next
    if (this.#first === null) this.#last = null
    this.#size--
    return node.value
  }

  clear(): void {
    this.#first = null
    this.#last = null
    this.#size = 0
  }
}
