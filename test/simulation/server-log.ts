import type { VirtualTime } from './virtual-time.ts'

/** PostgreSQL logs a sequence this many values ahead. */
const SEQUENCE_LOG_VALUES = 32

/**
 * The server's write-ahead log, as far as it decides what survives a crash: positions, the flush, and the identity's
 * sequence, which goes back to its last flushed record.
 */
export class ServerLog {
  readonly #time: VirtualTime
  #position = 1_000
  #flushed = 1_000
  #lastId = 0
  /** Values that can be given before the next record. */
  #valuesLogged = 0
  #sequenceRecords: { position: number; lastId: number }[] = [{ position: 0, lastId: 0 }]

  constructor(time: VirtualTime) {
    this.#time = time
  }

  get position(): number {
    return this.#position
  }

  get flushed(): number {
    return this.#flushed
  }

  get lastId(): number {
    return this.#lastId
  }

  /** @returns the position behind the new record */
  append(): number {
    this.#position += 8
    return this.#position
  }

  flush(position: number): void {
    this.#flushed = Math.max(this.#flushed, Math.min(position, this.#position))
  }

  nextId(): number {
    if (this.#valuesLogged === 0) {
      this.#valuesLogged = SEQUENCE_LOG_VALUES
      const lastId = this.#lastId + SEQUENCE_LOG_VALUES
      this.#sequenceRecords.push({ position: this.append(), lastId })
    }
    this.#valuesLogged--
    this.#lastId++
    return this.#lastId
  }

  /** What was not flushed is gone; the log goes on from there. */
  crash(): void {
    this.#sequenceRecords = this.#sequenceRecords.filter(
      ({ position }) => position <= this.#flushed,
    )
    const last = this.#sequenceRecords.at(-1)!
    // While values of the last flushed record were still to be given, the rest of them is skipped.
    this.#lastId = last.lastId
    this.#valuesLogged = 0
    this.#position = this.#flushed
    // The checkpoint at the end of the recovery.
    this.flush(this.append())
  }

  /** The background writer of the log, for commits that do not wait. */
  flushNowAndThen(everyMs: number): void {
    const flush = () => {
      this.flush(this.#position)
      this.#time.after(everyMs, 'world', flush)
    }
    this.#time.after(everyMs, 'world', flush)
  }
}
