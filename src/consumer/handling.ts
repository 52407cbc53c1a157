import type { Log } from '../telemetry/log.ts'
import type { BatchHandler, Handler } from './bus.ts'
import { type NotDoneOutcome, outcomeOf } from './classify.ts'
import { type CallDependency, HandlerContext, MessageContext } from './handler-context.ts'
import type { Message, SourceRecord } from './message.ts'
import {
  type HandleOptions,
  type MessageHandling,
  NotDone,
  type Reading,
} from './message-handling.ts'
import type { Outcome } from './outcome.ts'
import { readRecord } from './reading.ts'
import type { SubscriptionSettings } from './subscription-settings.ts'
import type { Tx } from './tx.ts'

export interface HandlingParts<T> {
  readonly settings: SubscriptionSettings<T>
  readonly handler: Handler<T>
  readonly call: CallDependency
  readonly log: Log
}

/** Reads records and calls the user's handler, within its time. */
export class Handling<T> implements MessageHandling<T> {
  readonly #parts: HandlingParts<T>

  constructor(parts: HandlingParts<T>) {
    this.#parts = parts
  }

  read(record: SourceRecord, messageId?: string): Reading<T> {
    return readRecord(record, this.#parts.settings, messageId)
  }

  async handle(message: Message<T>, tx: Tx, { attempt, signal }: HandleOptions): Promise<void> {
    const { handler, call, log, settings } = this.#parts
    const { topic, partition, offset, id } = message
    const facts = { group: settings.group, topic, partition, offset: `${offset}`, messageId: id }
    const context = new MessageContext({ tx, log, facts, call }, message, attempt)
    const outcome = await inTime(() => handler(message, context), {
      context,
      signal,
      timeoutMs: settings.handlerTimeoutMs,
    })
    const known = judged(outcome)
    if (known.kind !== 'done') throw new NotDone(known)
  }

  outcomeOf(error: unknown): NotDoneOutcome {
    return outcomeOf(error, this.#parts.settings.classify)
  }
}

/** As `Handling`, with a handler of many messages; a single one is a batch of one. */
export class BatchHandling<T> extends Handling<T> {
  readonly #parts: Omit<HandlingParts<T>, 'handler'>
  readonly #handler: BatchHandler<T>

  constructor(handler: BatchHandler<T>, parts: Omit<HandlingParts<T>, 'handler'>) {
    super({ ...parts, handler: (message, context) => handler([message], context) })
    this.#parts = parts
    this.#handler = handler
  }

  /** @param messages of one partition, at least one */
  async handleBatch(
    messages: readonly Message<T>[],
    tx: Tx,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<void> {
    const { call, log, settings } = this.#parts
    const [first] = messages as [Message<T>, ...Message<T>[]]
    const { topic, partition, offset } = first
    const facts = { group: settings.group, topic, partition, offset: `${offset}` }
    const context = new HandlerContext({ tx, log, facts, call })
    const { handlerTimeoutMs: timeoutMs } = settings
    await inTime(() => this.#handler(messages, context), { context, signal, timeoutMs })
  }
}

interface Bounds {
  readonly context: HandlerContext
  readonly signal: AbortSignal
  readonly timeoutMs: number
}

/** A handler that does not leave when its time is over is left alone: its transaction refuses what it still wants. */
async function inTime<R>(
  work: () => Promise<R>,
  { context, signal, timeoutMs }: Bounds,
): Promise<R> {
  let giveUp: (reason: NotDone) => void = () => {}
  const givenUp = new Promise<never>((_, reject) => {
    giveUp = reason => {
      // Before the abort, so that what the handler makes of it cannot come first.
      reject(reason)
      context.abort(reason)
    }
  })
  const onAbort = () => giveUp(retryBecause('given_up'))
  if (signal.aborted) throw retryBecause('given_up')
  const timer = setTimeout(() => giveUp(retryBecause('handler_timeout')), timeoutMs)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work(), givenUp])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

function retryBecause(reason: string): NotDone {
  return new NotDone({ kind: 'retry', reason })
}

const KINDS = new Set<unknown>(['done', 'retry', 'hold', 'bad', 'down', 'drop'])

/** A handler in JavaScript may return anything, the result of its last statement for instance. */
function judged(returned: unknown): Outcome {
  const kind = (returned as { kind?: unknown } | null | undefined)?.kind
  return KINDS.has(kind) ? (returned as Outcome) : { kind: 'done' }
}
