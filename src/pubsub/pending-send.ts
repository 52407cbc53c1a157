import { monotonicMs } from '../internal/monotonic.ts'
import type { KafkaRecord } from '../kafka/record.ts'

export interface PendingSendParts {
  readonly record: KafkaRecord
  /** By the number of the topic's partitions. @throws SluiceError: there is none for it */
  readonly choose: (partitions: number) => number
  /** The topic has so many partitions at least, as somebody has told. */
  readonly partitions_min: number
  readonly untilMs: number
  readonly signal: AbortSignal | undefined
  /** What the sender is told when it was not confirmed in time. */
  readonly late: () => Error
}

export interface Answer {
  readonly partition: number
  readonly offset: bigint
}

/** A record that waits for the brokers' answer, for as long as its sender does. */
export class PendingSend {
  readonly record: KafkaRecord
  readonly choose: (partitions: number) => number
  readonly partitions_min: number
  readonly answer: Promise<Answer>
  #settle: (answer: Answer) => void = () => {}
  #fail: (error: unknown) => void = () => {}
  #over = false
  readonly #release: () => void

  constructor({ record, choose, partitions_min, untilMs, signal, late }: PendingSendParts) {
    this.record = record
    this.choose = choose
    this.partitions_min = partitions_min
    this.answer = new Promise((settle, fail) => {
      this.#settle = settle
      this.#fail = fail
    })
    const timer = setTimeout(() => this.fail(late()), Math.max(0, untilMs - monotonicMs()))
    const aborted = () => this.fail(signal?.reason)
    signal?.addEventListener('abort', aborted, { once: true })
    this.#release = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
    }
    if (signal?.aborted) aborted()
  }

  /** Nobody waits any more: it need not be sent. */
  get over(): boolean {
    return this.#over
  }

  settle(answer: Answer): void {
    if (this.#end()) this.#settle(answer)
  }

  fail(error: unknown): void {
    if (this.#end()) this.#fail(error)
  }

  #end(): boolean {
    if (this.#over) return false
    this.#over = true
    this.#release()
    return true
  }
}
