import {
  type ReadableStream,
  WritableStream,
  type WritableStreamDefaultController,
} from 'node:stream/web'
import { setImmediate } from 'node:timers/promises'
import { describeError, SluiceError } from '../errors.ts'
import { Condition } from '../internal/condition.ts'
import { withDeadline } from '../internal/deadline.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import type { PublishedEvent } from '../outbox/adapter.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import { HeldKeys, nameOf } from './held-keys.ts'
import { OutcomeStream } from './outcome-stream.ts'
import type { Outcome, Producer, Rejected, Unknown } from './producer.ts'

export interface ProducerStreamsOptions {
  /** Events of one batch at most. Default 500. */
  readonly batchSize?: number
  /** Payload bytes of one batch; an event that is larger goes alone. Default 8,000,000. */
  readonly batchBytesMax?: number
  /** Events that each of the three streams holds before who fills it must wait. Default 1,000. */
  readonly queueMax?: number
  /** What a batch may take; then its events have unknown outcomes. Default 10,000. */
  readonly publishTimeoutMs?: number
  /** Pause, on average, after a batch with unknown outcomes, so that a dead broker is not hammered. Default 200. */
  readonly faultPauseMs?: number
}

/** An event that is not known to be stored, and why. */
export interface UnpublishedEvent {
  readonly event: OutboxEvent
  readonly outcome: Rejected | Unknown
}

const DEFAULTS = {
  batchSize: 500,
  batchBytesMax: 8_000_000,
  queueMax: 1_000,
  publishTimeoutMs: 10_000,
  faultPauseMs: 200,
}
/** How long after its deadline a producer may still answer. */
const ANSWER_MARGIN_MS = 2_000
/** Failed events that nobody has answered for. Their ids are kept, so there must be an end to them. */
const HELD_MAX = 10_000

/**
 * A producer as three streams: what is written to the input comes out on successes or on errors, each event once.
 *
 * **Order.** One batch is in flight at a time; what was written first is published first. Nothing is retried unasked. An
 * event that failed and might still get through (an unknown outcome, or a rejection that is not permanent) comes out on
 * errors and holds its key: later events of the key come out behind it with the code `key_held`, until each of them is
 * answered by `retry` or `giveUp`. So a loop that retries what it reads from errors, in that order, disturbs no key's
 * order. A permanent rejection holds nothing, neither does an event without a key. Events are told
 * apart by `eventId`; writing one to the input again is the same as `retry`, but it waits for room.
 *
 * **Back-pressure.** Every queue is bounded. Nothing is sent while successes or errors are full, and then the input's
 * writer waits: read both, or cancel the one that you do not want. Cancelled successes are dropped. Cancelled errors
 * are dropped too, and hold no key any more.
 *
 * **End.** `close` of the input publishes what was written, then ends both outputs, and resolves when all is handed
 * over; it waits for readers. `abort` sends nothing more and waits for the batch in flight alone: what was not sent
 * comes out on errors with the code `aborted`, regardless of room, and both outputs end. It may follow a `close`.
 * The producer stays yours; close it when the outputs have ended.
 */
export class ProducerStreams {
  readonly #producer: Producer
  readonly #options: Required<ProducerStreamsOptions>
  readonly #changes = new Condition()
  readonly #input: WritableStream<OutboxEvent>
  readonly #successes: OutcomeStream<PublishedEvent>
  readonly #errors: OutcomeStream<UnpublishedEvent>
  readonly #held = new HeldKeys()
  readonly #ended: Promise<void>
  #controller: WritableStreamDefaultController | null = null
  /** Events to be retried; they go before those that are pending. */
  #again: OutboxEvent[] = []
  #pending: OutboxEvent[] = []
  readonly #aborting = new AbortController()
  #closing = false
  #isOver = false

  /** @throws SluiceError code `options`: a limit is not a positive integer */
  constructor(producer: Producer, options: ProducerStreamsOptions = {}) {
    this.#producer = producer
    this.#options = checked({ ...DEFAULTS, ...options })
    const { queueMax } = this.#options
    const changed = () => this.#changes.notify()
    this.#successes = new OutcomeStream(queueMax, changed)
    this.#errors = new OutcomeStream(queueMax, changed)
    this.#input = new WritableStream<OutboxEvent>({
      start: controller => this.#open(controller),
      write: event => this.#take(event),
      close: () => this.#finish(),
      abort: () => this.#ended,
    })
    this.#ended = this.#run()
  }

  /** The same stream at each call. A write resolves when the event is queued; its outcome comes out elsewhere. */
  getInput(): WritableStream<OutboxEvent> {
    return this.#input
  }

  /** The same stream at each call: the events that the broker has stored. */
  getSuccesses(): ReadableStream<PublishedEvent> {
    return this.#successes.readable
  }

  /** The same stream at each call: the events that were not stored, or not for sure. */
  getErrors(): ReadableStream<UnpublishedEvent> {
    return this.#errors.readable
  }

  /**
   * Publishes an event that was read from errors once more, before all that waits in the input. It never waits, so that
   * who reads errors can always go on reading.
   * @throws SluiceError code `lifecycle`: the streams have ended
   */
  retry(event: OutboxEvent): void {
    if (this.#isOver) throw new SluiceError('lifecycle', 'retry() after the end of the streams')
    this.#again.push(event)
    this.#changes.notify()
  }

  /** The event, read from errors, will not be tried again: its key need not wait for it. */
  giveUp(event: OutboxEvent): void {
    this.#held.forget(event)
  }

  get #aborted(): boolean {
    return this.#aborting.signal.aborted
  }

  #open(controller: WritableStreamDefaultController): void {
    this.#controller = controller
    // The stream calls abort() only when a write or a close that waits has ended; they must learn of it before.
    // The types of Node 20 do not know the signal yet.
    const { signal } = controller as unknown as { readonly signal: AbortSignal }
    signal.addEventListener('abort', () => this.#abort(), { once: true })
  }

  async #take(event: OutboxEvent): Promise<void> {
    this.#pending.push(event)
    this.#changes.notify()
    const { queueMax } = this.#options
    await this.#changes.until(() => this.#aborted || this.#pending.length < queueMax)
  }

  async #finish(): Promise<void> {
    this.#closing = true
    this.#changes.notify()
    await this.#ended
  }

  #abort(): void {
    this.#aborting.abort()
    this.#changes.notify()
  }

  async #run(): Promise<void> {
    while (await this.#hasWork()) {
      // Nobody is left to answer.
      if (this.#errors.cancelled) this.#held.clear()
      const { batch, refused } = this.#nextBatch()
      this.#changes.notify()
      const outcomes = batch.length > 0 ? await this.#publish(batch) : []
      this.#settle(batch, outcomes)
      for (const event of refused) {
        this.#held.holdLast(event)
        this.#errors.put({ event, outcome: KEY_HELD })
      }
      if (this.#held.size > HELD_MAX) this.#giveIn()
      await this.#rest(outcomes)
    }
    this.#isOver = true
    const unsent = [...this.#again.splice(0), ...this.#pending.splice(0)]
    for (const event of unsent) this.#errors.put({ event, outcome: ABORTED })
    this.#successes.end()
    this.#errors.end()
  }

  /** Never nothing: a producer that fails without waiting, retried at once, would leave no turn to timers and sockets. */
  async #rest(outcomes: readonly Outcome[]): Promise<void> {
    const isFaulty = outcomes.some(
      outcome => outcome.kind === 'unknown' && outcome.fault !== 'held',
    )
    const pauseMs = isFaulty ? this.#options.faultPauseMs * (0.5 + Math.random()) : 0
    if (pauseMs > 0) await pause(pauseMs, this.#aborting.signal)
    else await setImmediate()
  }

  async #hasWork(): Promise<boolean> {
    const isWaiting = () => this.#again.length + this.#pending.length > 0
    const hasRoom = () => this.#successes.hasRoom && this.#errors.hasRoom
    const isReady = () => (isWaiting() ? hasRoom() : this.#closing)
    await this.#changes.until(() => this.#aborted || isReady())
    return !this.#aborted && isWaiting()
  }

  /** What may be sent now, and what must not because its key is held. */
  #nextBatch(): { batch: OutboxEvent[]; refused: OutboxEvent[] } {
    const { batchSize, batchBytesMax } = this.#options
    const batch: OutboxEvent[] = []
    const refused: OutboxEvent[] = []
    let bytes = 0
    for (const queue of [this.#again, this.#pending]) {
      let taken = 0
      for (const event of queue) {
        bytes += bytesOf(event)
        if (batch.length + refused.length >= batchSize) break
        if (batch.length > 0 && bytes > batchBytesMax) break
        taken++
        if (this.#held.admit(event)) batch.push(event)
        else refused.push(event)
      }
      queue.splice(0, taken)
      if (queue.length > 0) break
    }
    return { batch, refused }
  }

  async #publish(batch: readonly OutboxEvent[]): Promise<Outcome[]> {
    const { publishTimeoutMs } = this.#options
    const untilMs = monotonicMs() + publishTimeoutMs
    const late = () => new Error('the producer did not answer within its deadline')
    try {
      const publishing = this.#producer.publish(batch, untilMs)
      return await withDeadline(publishing, publishTimeoutMs + ANSWER_MARGIN_MS, late)
    } catch (error) {
      return batch.map(() => producerFailed(describeError(error)))
    }
  }

  #settle(batch: readonly OutboxEvent[], outcomes: readonly Outcome[]): void {
    const failed: OutboxEvent[] = []
    const waiting: OutboxEvent[] = []
    /** Keys whose events wait for nothing but a refusal that is final: those go on by themselves. */
    const freed = new Set<string>()
    for (const [index, event] of batch.entries()) {
      const outcome = outcomes[index] ?? producerFailed('it gave no outcome for the event')
      if (outcome.kind === 'acked') {
        const { partition, offset } = outcome
        this.#successes.put({ event, partition, offset })
        continue
      }
      if (freed.has(nameOf(event)) && 'fault' in outcome && outcome.fault === 'held') {
        waiting.push(event)
        continue
      }
      const final = outcome.kind === 'rejected' && outcome.permanent
      if (final && event.key !== null) freed.add(nameOf(event))
      if (!final) {
        freed.delete(nameOf(event))
        failed.push(event)
      }
      this.#errors.put({ event, outcome })
    }
    this.#held.holdFirst(failed)
    for (const event of waiting.toReversed()) this.#held.readmit(event)
    this.#again.unshift(...waiting)
  }

  #giveIn(): void {
    const message = `more than ${HELD_MAX} failed events were neither retried nor given up: answer each of them, or cancel the errors`
    this.#controller?.error(new SluiceError('lifecycle', message))
    this.#abort()
  }
}

function checked(options: Required<ProducerStreamsOptions>): Required<ProducerStreamsOptions> {
  for (const [name, value] of Object.entries(options)) {
    if (Number.isSafeInteger(value) && value > 0) continue
    throw new SluiceError('options', `${name} is ${value}: give a whole number above 0`)
  }
  return options
}

function bytesOf({ payload }: OutboxEvent): number {
  return payload === null ? 0 : Buffer.byteLength(payload)
}

function producerFailed(message: string): Unknown {
  return { kind: 'unknown', code: 'producer_failed', message, fault: 'producer', scope: 'cluster' }
}

const KEY_HELD = notSent('key_held', 'topic', 'an earlier event of its key was not answered for')

const ABORTED = notSent('aborted', 'cluster', 'the input was aborted before it was sent')

function notSent(code: string, scope: Unknown['scope'], message: string): Unknown {
  return { kind: 'unknown', code, message, fault: 'held', scope }
}
