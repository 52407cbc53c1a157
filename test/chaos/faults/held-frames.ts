import { once } from 'node:events'
import { connect } from 'node:net'
import { withDeadline } from '../../../src/internal/deadline.ts'
import type { Bites } from './fault-proxy.ts'
import { kafkaFrames } from './kafka-frame.ts'
import type { HeldRequests } from './kafka-proxy.ts'
import type { Plan } from './plan.ts'

const ANSWER_TIMEOUT_MS = 10_000

/** Frames on their way to a broker whose client has been cut off; delivered in their order. */
export class HeldFrames implements HeldRequests {
  readonly #plan: Plan
  readonly #upstream: { readonly host: string; readonly port: number }
  readonly #counts: Bites
  readonly #frames: Buffer[] = []
  #delivered = 0
  #delivering: Promise<void> = Promise.resolve()

  constructor(plan: Plan, upstream: { host: string; port: number }, counts: Bites) {
    this.#plan = plan
    this.#upstream = upstream
    this.#counts = counts
  }

  get bitten(): number {
    return this.#plan.bitten
  }

  get delivered(): number {
    return this.#delivered
  }

  bites(options: { times?: number; deadlineMs: number }): Promise<void> {
    return this.#plan.bites(options)
  }

  cancel(): void {
    this.#plan.cancel()
  }

  keep(frame: Buffer): void {
    this.#frames.push(Buffer.from(frame))
    this.#plan.bite()
    this.#counts.hold++
  }

  async release({ deadlineMs = ANSWER_TIMEOUT_MS } = {}): Promise<number> {
    const work = this.#delivering.then(() => this.#deliverAll(deadlineMs))
    this.#delivering = work.catch(() => {})
    await work
    return this.#delivered
  }

  /** Without waiting; what fails stays held for `release`. */
  releaseSoon(): void {
    if (this.#frames.length > 0) this.release().catch(() => {})
  }

  async #deliverAll(timeoutMs: number): Promise<void> {
    for (let frame = this.#frames[0]; frame !== undefined; frame = this.#frames[0]) {
      await deliver(frame, this.#upstream, timeoutMs)
      this.#frames.shift()
      this.#delivered++
      this.#counts.late++
    }
  }
}

/** On a connection of its own: the client's is gone, and Kafka takes any request first where there is no login. */
async function deliver(
  frame: Buffer,
  upstream: { readonly host: string; readonly port: number },
  timeoutMs: number,
): Promise<void> {
  const socket = connect(upstream)
  const answers = kafkaFrames()
  try {
    const answered = new Promise<void>((settle, reject) => {
      socket.on('data', bytes => {
        if (answers.push(bytes).length > 0) settle()
      })
      socket.once('close', () => reject(new Error('the broker has closed the connection')))
    })
    // A failure while connecting is thrown by `once`; the same failure closes the socket.
    answered.catch(() => {})
    await once(socket, 'connect')
    socket.on('error', () => {})
    socket.write(frame)
    const late = () => new Error(`the broker did not answer a late request within ${timeoutMs} ms`)
    await withDeadline(answered, timeoutMs, late)
  } finally {
    socket.destroy()
  }
}
