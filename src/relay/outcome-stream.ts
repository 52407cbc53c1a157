import { ReadableStream, type ReadableStreamDefaultController } from 'node:stream/web'

/** The writing end of a `ReadableStream`: it tells how full it is instead of making the writer wait. */
export class OutcomeStream<T> {
  readonly readable: ReadableStream<T>
  #controller: ReadableStreamDefaultController<T> | null = null
  #cancelled = false

  /** @param changed called when there may be room again, or nobody reads any more */
  constructor(itemsMax: number, changed: () => void) {
    this.readable = new ReadableStream<T>(
      {
        start: controller => {
          this.#controller = controller
        },
        pull: changed,
        cancel: () => {
          this.#cancelled = true
          changed()
        },
      },
      { highWaterMark: itemsMax },
    )
  }

  /** Nobody reads any more: what is put is dropped. */
  get cancelled(): boolean {
    return this.#cancelled
  }

  get hasRoom(): boolean {
    return this.#cancelled || (this.#controller?.desiredSize ?? 0) > 0
  }

  /** Never refused, room or not. */
  put(item: T): void {
    if (!this.#cancelled) this.#controller?.enqueue(item)
  }

  /** The reader comes to the end once it has read what was put. */
  end(): void {
    if (!this.#cancelled) this.#controller?.close()
  }
}
