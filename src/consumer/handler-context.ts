import { enqueue } from '../outbox/enqueue.ts'
import { PARTITION_HEADER, partitionOfText } from '../outbox/partition-header.ts'
import type { Log } from '../telemetry/log.ts'
import type { BatchContext, Context, DomainEvent } from './bus.ts'
import { newEventOf, payloadOf } from './domain-event.ts'
import { HEADERS, type Message } from './message.ts'
import { BadMessage } from './outcome.ts'
import type { Tx } from './tx.ts'

/** Calls a dependency through its breaker; throws DependencyDown. `signal`: the handler is to leave. */
export type CallDependency = <T>(
  dependency: string,
  work: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
) => Promise<T>

export interface ContextParts {
  readonly tx: Tx
  readonly log: Log
  /** Goes along with every line of the handler's log. */
  readonly facts: object
  readonly call: CallDependency
}

/** What a batch handler is given. Its signal and its log are made when they are first asked for. */
export class HandlerContext implements BatchContext {
  readonly sql: Tx
  readonly #parts: ContextParts
  #own: AbortController | null = null
  #leave: { readonly reason: unknown } | null = null
  #log: Log | null = null

  constructor(parts: ContextParts) {
    this.sql = parts.tx
    this.#parts = parts
  }

  get signal(): AbortSignal {
    this.#own ??= new AbortController()
    if (this.#leave) this.#own.abort(this.#leave.reason)
    return this.#own.signal
  }

  get log(): Log {
    this.#log ??= logWith(this.#parts.log, this.#parts.facts)
    return this.#log
  }

  // Functions of their own, so that a handler may take them out of the context.
  readonly publish = async (event: DomainEvent): Promise<void> => {
    await enqueue(this.sql, newEventOf(event))
  }

  readonly call = <T>(dependency: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> =>
    this.#parts.call(dependency, work, this.signal)

  /** The handler is to leave. */
  abort(reason: unknown): void {
    this.#leave ??= { reason }
    this.#own?.abort(reason)
  }
}

/** What the handler of a single message is given. */
export class MessageContext extends HandlerContext implements Context {
  readonly attempt: number
  readonly #message: Message

  constructor(parts: ContextParts, message: Message, attempt: number) {
    super(parts)
    this.#message = message
    this.attempt = attempt
  }

  readonly reply = async (value: unknown): Promise<void> => {
    const { id, type, headers } = this.#message
    const topic = headers[HEADERS.replyTo]
    if (!topic) throw new BadMessage(`it has no header ${HEADERS.replyTo} to answer to`)
    const correlationId = headers[HEADERS.correlationId] ?? id
    const partition = headers[HEADERS.replyPartition]
    // The answer would be a dead letter, and whoever asked would wait for nothing.
    if (partition !== undefined && partitionOfText(partition) === null) {
      throw new BadMessage(`its header ${HEADERS.replyPartition} is no number of a partition`)
    }
    await enqueue(this.sql, {
      topic,
      key: correlationId,
      eventType: `${type}.reply`,
      ...payloadOf(value),
      headers: {
        [HEADERS.correlationId]: correlationId,
        ...(partition && { [HEADERS.replyPartition]: partition, [PARTITION_HEADER]: partition }),
      },
    })
  }
}

function logWith(log: Log, known: object): Log {
  return {
    debug: (facts, message) => log.debug({ ...known, ...facts }, message),
    info: (facts, message) => log.info({ ...known, ...facts }, message),
    warn: (facts, message) => log.warn({ ...known, ...facts }, message),
    error: (facts, message) => log.error({ ...known, ...facts }, message),
  }
}
