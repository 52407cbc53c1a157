import { SluiceError } from '../errors.ts'
import { fullJitterMs } from '../internal/backoff.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import { type Fault, faultOfWay } from '../kafka/fault.ts'
import type { PendingSend } from './pending-send.ts'
import { closed, type PublishingWay } from './publishing-way.ts'
import { refused } from './topic-creation.ts'

/** Of one request. A larger one takes its thread so long that other partitions wait. */
const RECORDS_MAX = 500
const BYTES_MAX = 512 * 1_024
const RETRY_MS_MIN = 20
const RETRY_MS_MAX = 500

export interface SendLaneParts {
  readonly way: PublishingWay
  readonly topic: string
  readonly partition: number
  readonly request_timeout_ms: number
  readonly closed: AbortSignal
}

/**
 * What goes to one partition: one request at a time, so that order is kept; what comes meanwhile goes together in the
 * next one. A request that failed, and not through a frame in it, is repeated with a new session as long as anybody
 * waits for it.
 */
export class SendLane {
  readonly #parts: SendLaneParts
  #waiting: PendingSend[] = []
  #running: Promise<void> | null = null

  constructor(parts: SendLaneParts) {
    this.#parts = parts
  }

  /** Resolves when nothing is left of what was added. */
  async idle(): Promise<void> {
    await this.#running
  }

  add(pending: PendingSend): void {
    this.#waiting.push(pending)
    this.#running ??= this.#run()
  }

  async #run(): Promise<void> {
    // What the same turn sends goes along.
    await Promise.resolve()
    while (this.#waiting.length > 0) await this.#deliver(this.#take())
    // In the turn that found nothing left, not in a later one: what is added in between would wait for nobody.
    this.#running = null
  }

  #take(): PendingSend[] {
    let bytes = 0
    let count = 0
    for (const { record } of this.#waiting) {
      bytes += record.value?.length ?? 0
      if (count > 0 && (bytes > BYTES_MAX || count >= RECORDS_MAX)) break
      count++
    }
    return this.#waiting.splice(0, count)
  }

  /** Until each one has its answer, or nobody waits for it. */
  async #deliver(batch: readonly PendingSend[]): Promise<void> {
    const { closed: closing } = this.#parts
    for (let attempt = 1; ; attempt++) {
      const open = batch.filter(each => !each.over)
      if (open.length === 0) return
      if (closing.aborted) return failAll(open, closed())
      const fault = await this.#try(open)
      if (fault === null) return
      if (fault.of === 'event') return this.#refuse(open, fault)
      if (fault.fault === 'producer') return failAll(open, refused(fault.code, fault.message))
      await pause(RETRY_MS_MIN + fullJitterMs(attempt, RETRY_MS_MIN, RETRY_MS_MAX), closing)
    }
  }

  /** @returns null when each one has its answer */
  async #try(batch: readonly PendingSend[]): Promise<Fault | null> {
    const { way, topic, partition, request_timeout_ms } = this.#parts
    const untilMs = monotonicMs() + request_timeout_ms
    try {
      // kafkajs must not hear of a topic that is gone: it would fail for all others too.
      await way.partitionsOf(topic, untilMs)
    } catch (error) {
      if (error instanceof SluiceError && error.retryable) return faultOfWay('unreachable', '')
      failAll(batch, error)
      return null
    }
    const session = way.session
    if (session === null) return faultOfWay('unreachable', '')
    try {
      const records = batch.map(({ record }) => record)
      const { baseOffset } = await session.send(topic, partition, records, untilMs)
      batch.forEach((each, index) => {
        each.settle({ partition, offset: baseOffset + BigInt(index) })
      })
      return null
    } catch (error) {
      session.retire()
      way.note(error)
      return session.faultOf(error)
    }
  }

  /** Halves until the one at fault is alone: its siblings are not to suffer. */
  async #refuse(batch: readonly PendingSend[], fault: Fault): Promise<void> {
    if (batch.length === 1) {
      const text = `the brokers refuse the frame (${fault.code}): ${fault.message}`
      return failAll(batch, new SluiceError('event', text))
    }
    const half = Math.ceil(batch.length / 2)
    await this.#deliver(batch.slice(0, half))
    await this.#deliver(batch.slice(half))
  }
}

function failAll(batch: readonly PendingSend[], error: unknown): void {
  for (const each of batch) each.fail(error)
}
