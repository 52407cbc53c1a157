export interface QueuedEvent {
  readonly atUs: number
  /** Orders events of the same time: first come, first served. */
  readonly turn: number
  readonly owner: string
  readonly run: () => void
  /** A timer of the owner's, not something that reaches it from outside. */
  readonly timer: boolean
  cancelled: boolean
}

/** A binary heap of what is still to happen, the soonest first. */
export class EventQueue {
  readonly #heap: QueuedEvent[] = []
  #turns = 0

  push(atUs: number, owner: string, run: () => void, timer: boolean): QueuedEvent {
    const event = { atUs, turn: this.#turns++, owner, run, timer, cancelled: false }
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isSooner(event, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
    return event
  }

  pop(): QueuedEvent | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || first === last) return first
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isSooner(heap[child + 1]!, heap[child]!)) child++
      if (!isSooner(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}

function isSooner(a: QueuedEvent, b: QueuedEvent): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.turn < b.turn)
}
