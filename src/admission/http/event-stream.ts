import type { Writable } from 'node:stream'
import { monotonicMs } from '../../internal/monotonic.ts'

/** What a client may leave unread before it is cut off. */
const BUFFER_BYTES_MAX = 64 * 1024
/** Silence is broken this often, so that no proxy takes the connection for dead. */
const COMMENT_EVERY_MS = 15_000
/** When to connect again: at random, so that those of a process that went away do not come back all at once. */
const RECONNECT_MS = { min: 1_000, max: 5_000 }

/** The head of a stream's answer. `connection: close`: what follows on a stream's connection is nothing. */
export const STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  connection: 'close',
  // nginx would hold the events back.
  'x-accel-buffering': 'no',
}

/** Server-sent events to one client, with ascending ids. A client that does not read is cut off. */
export class EventStream {
  readonly #to: Writable
  #id: number
  #wroteAtMs = monotonicMs()

  /** @param lastId of the last event that this client got before, 0 if none */
  constructor(to: Writable, lastId: number) {
    this.#to = to
    this.#id = lastId
    const { min, max } = RECONNECT_MS
    this.#write(`retry: ${Math.floor(min + Math.random() * (max - min))}\n\n`)
  }

  get closed(): boolean {
    return this.#to.destroyed || this.#to.writableEnded
  }

  /** @param idSuffix goes behind the event's number in its id */
  send(event: string, data: object, idSuffix = ''): void {
    this.#id += 1
    this.#write(`id: ${this.#id}${idSuffix}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  }

  /** To be called about once a second. */
  beat(): void {
    if (monotonicMs() - this.#wroteAtMs >= COMMENT_EVERY_MS) this.#write(': still here\n\n')
  }

  end(comment?: string): void {
    if (comment !== undefined) this.#write(`: ${comment}\n\n`)
    if (!this.closed) this.#to.end()
  }

  #write(text: string): void {
    if (this.closed) return
    this.#to.write(text)
    this.#wroteAtMs = monotonicMs()
    if (this.#to.writableLength > BUFFER_BYTES_MAX) this.#to.destroy()
  }
}

/** Behind the number in the id of the last event of an ended session. */
export const END_SUFFIX = '-end'

/** What a reconnecting client says of the last event it got. */
export function readLastEventId(header: string | undefined): { id: number; ended: boolean } {
  const [, digits, suffix] = /^(\d{1,15})(-end)?$/.exec(header ?? '') ?? []
  return { id: Number(digits ?? 0), ended: suffix === END_SUFFIX }
}
