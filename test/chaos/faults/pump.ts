import type { Socket } from 'node:net'
import { monotonicMs } from '../../../src/internal/monotonic.ts'
import type { Way, Weather } from './weather.ts'

/** Above it the sender is no longer read from. */
const QUEUE_BYTES_MAX = 16 * 1024 * 1024
/** How long a slow connection pauses between two small pieces. */
const SLICE_MS = 25

type Item = { readonly dueMs: number } & (
  | { readonly bytes: Buffer }
  /** The sender has ended in good order, or not. */
  | { readonly end: 'fin' | 'reset' }
)

/**
 * One way of one connection. What comes in goes out in the same order, after whatever the weather does to it; the end of
 * the sender waits its turn like every byte, so that a black hole hides it too.
 */
export class Pump {
  readonly #from: Socket
  readonly #to: Socket
  readonly #way: Way
  readonly #weather: Weather
  readonly #queue: Item[] = []
  #queuedBytes = 0
  #lastDueMs = 0
  #busy = false
  #closed = false

  constructor(ends: { from: Socket; to: Socket; way: Way; weather: Weather }) {
    this.#from = ends.from
    this.#to = ends.to
    this.#way = ends.way
    this.#weather = ends.weather
  }

  push(bytes: Buffer): void {
    if (this.#closed) return
    if (!this.#busy && this.#weather.isClear(this.#way)) this.#write(bytes)
    else this.#enqueue({ bytes, dueMs: this.#dueMs() })
    if (this.#queuedBytes > QUEUE_BYTES_MAX) this.#from.pause()
  }

  end(end: 'fin' | 'reset'): void {
    if (this.#closed) return
    if (!this.#busy && this.#weather.isClear(this.#way)) this.#finish(end)
    else this.#enqueue({ end, dueMs: this.#dueMs() })
  }

  /** Nothing goes out any more. */
  close(): void {
    this.#closed = true
    this.#queue.length = 0
    this.#weather.wake()
  }

  #dueMs(): number {
    const delayMs = this.#weather.delayMs(this.#way)
    if (delayMs === undefined) return this.#lastDueMs
    this.#weather.bites.latency++
    this.#lastDueMs = Math.max(this.#lastDueMs, monotonicMs() + delayMs)
    return this.#lastDueMs
  }

  #enqueue(item: Item): void {
    if (this.#weather.isBlack(this.#way)) this.#weather.bites.blackHole++
    this.#queue.push(item)
    if ('bytes' in item) this.#queuedBytes += item.bytes.length
    if (this.#busy) return
    this.#busy = true
    void this.#run()
  }

  /** Never rejects; ends with the queue, which `close` empties. */
  async #run(): Promise<void> {
    for (let item = this.#queue[0]; item !== undefined; item = this.#queue[0]) {
      if (this.#weather.isBlack(this.#way)) {
        await this.#weather.changed()
        continue
      }
      const waitMs = item.dueMs - monotonicMs()
      if (waitMs > 0 && this.#weather.delayMs(this.#way) !== undefined) {
        await this.#weather.changed(waitMs)
        continue
      }
      this.#queue.shift()
      if ('end' in item) this.#finish(item.end)
      else await this.#deliver(item.bytes)
    }
    this.#busy = false
  }

  async #deliver(bytes: Buffer): Promise<void> {
    this.#queuedBytes -= bytes.length
    if (this.#from.isPaused() && this.#queuedBytes <= QUEUE_BYTES_MAX) this.#from.resume()
    let rest = bytes
    while (rest.length > 0 && !this.#closed) {
      if (this.#weather.isBlack(this.#way)) {
        await this.#weather.changed()
        continue
      }
      const rate = this.#weather.bytesPerSecond
      if (rate === undefined) return this.#write(rest)
      const slice = rest.subarray(0, Math.max(1, Math.round((rate * SLICE_MS) / 1_000)))
      rest = rest.subarray(slice.length)
      this.#weather.bites.slow++
      this.#write(slice)
      await this.#weather.changed((slice.length / rate) * 1_000)
    }
  }

  #write(bytes: Buffer): void {
    if (this.#closed || !this.#to.writable) return
    if (this.#to.write(bytes)) return
    this.#from.pause()
    this.#to.once('drain', () => this.#from.resume())
  }

  #finish(end: 'fin' | 'reset'): void {
    if (this.#closed) return
    if (end === 'fin') this.#to.end()
    else this.#to.resetAndDestroy()
  }
}
