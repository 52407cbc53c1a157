import { SluiceError } from '../errors.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { NoPartition } from './pubsub-errors.ts'

const TIMEOUT_MS = 30_000

interface Waiting {
  readonly settle: (partition: number) => void
  readonly fail: (error: unknown) => void
}

/** The reply partitions that are assigned to this instance now, handed out in turn. */
export class partition_tracking {
  readonly #waiting = new Set<Waiting>()
  #partitions: readonly number[] = Object.freeze([])
  #next = 0
  #closed = false

  /** Those assigned now, in ascending order. */
  get partitions(): readonly number[] {
    return this.#partitions
  }

  /** The assignment of a join, all of it; empty while the group rebalances. The ring begins anew. */
  update(partitions: readonly number[]): void {
    this.#partitions = Object.freeze([...new Set(partitions)].sort((a, b) => a - b))
    this.#next = 0
    if (this.#partitions.length === 0) return
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const each of waiting) each.settle(this.#take())
  }

  /**
   * The next partition of the ring, at once if there is one.
   * @param timeout_ms how long it waits for an assignment. Default 30 s
   * @throws NoPartition: none was assigned in time; the signal's reason; SluiceError `lifecycle`: closed
   */
  async get_next_partition(timeout_ms = TIMEOUT_MS, signal?: AbortSignal): Promise<number> {
    if (this.#closed) throw closed()
    signal?.throwIfAborted()
    if (this.#partitions.length > 0) return this.#take()
    return this.#wait(timeout_ms, signal)
  }

  /** Those who wait are told that it is over. */
  close(): void {
    this.#closed = true
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const each of waiting) each.fail(closed())
  }

  #take(): number {
    const partition = this.#partitions[this.#next % this.#partitions.length] as number
    this.#next = (this.#next + 1) % this.#partitions.length
    return partition
  }

  async #wait(timeoutMs: number, signal: AbortSignal | undefined): Promise<number> {
    const startedMs = monotonicMs()
    let timer: NodeJS.Timeout | undefined
    let aborted = () => {}
    let waiting: Waiting | undefined
    try {
      return await new Promise<number>((settle, fail) => {
        waiting = { settle, fail }
        this.#waiting.add(waiting)
        aborted = () => fail(signal?.reason)
        signal?.addEventListener('abort', aborted, { once: true })
        const late = () => fail(new NoPartition(Math.round(monotonicMs() - startedMs)))
        timer = setTimeout(late, Math.max(0, timeoutMs))
      })
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
      if (waiting) this.#waiting.delete(waiting)
    }
  }
}

function closed(): SluiceError {
  return new SluiceError('lifecycle', 'the partitions are not tracked any more')
}
