/** The part of each partition that is to be read; offsets as numbers, which Kafka's own tools do as well. */
export class TopicRange {
  readonly #parts = new Map<number, { next: number; readonly end: number }>()

  /** @param end the offset behind the last that counts; nothing is added for an empty part */
  add(partition: number, start: number, end: number): void {
    if (start < end) this.#parts.set(partition, { next: start, end })
  }

  /** Partitions not read to their end, with the next offset of each. */
  get open(): readonly { readonly partition: number; readonly next: number }[] {
    return [...this.#parts]
      .filter(([, { next, end }]) => next < end)
      .map(([partition, { next }]) => ({ partition, next }))
  }

  /** Is this record to be taken? Records that come before the range, or a second time, are not. */
  takes(partition: number, offset: number): boolean {
    const part = this.#parts.get(partition)
    if (!part || offset < part.next || offset >= part.end) return false
    part.next = offset + 1
    return true
  }

  /** Everything up to this offset has come, also offsets that hold no record. */
  reached(partition: number, offset: number): void {
    const part = this.#parts.get(partition)
    if (part) part.next = Math.max(part.next, offset + 1)
  }

  /** No more of this partition is wanted. */
  close(partition: number): void {
    this.#parts.delete(partition)
  }
}
