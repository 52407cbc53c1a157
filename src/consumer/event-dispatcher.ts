import { SluiceError } from '../errors.ts'
import type { Log } from '../telemetry/log.ts'
import type { Context, Handler } from './bus.ts'
import type { Codec, Envelope } from './codec.ts'
import { HEADERS, headerText, type Message, type SourceRecord } from './message.ts'
import { BadMessage, DONE, type Outcome } from './outcome.ts'

export interface EventDispatcherOptions {
  /** What a message of a type without a handler is. */
  readonly unknown: 'bad' | 'ignore'
  /** Told what became of each message. Default: nobody is, and messages handled tell the context's log. */
  readonly log?: Log
  /** Field `op` of every line. */
  readonly op?: string
  /** Where ids and types are read. Default: headers `event_id` and `event_type`. */
  readonly envelope?: Envelope
  /** Put the value into the line of a message that was handled. Default false: it may be nobody else's business. */
  readonly logPayload?: boolean
}

interface Route {
  readonly codec: Codec<unknown>
  readonly handler: Handler<unknown>
}

/** A decoded value on its way from the codec to its handler. */
export interface Dispatched {
  /** Null: no handler is there for its type. */
  readonly route: Route | null
  readonly value: unknown
}

/** To each type of event its own codec and handler: `bus.subscribe({ group, topics, codec, envelope }, handler)`. */
export interface EventDispatcher {
  /** @throws SluiceError `options`: the type has a handler already */
  on<T>(eventType: string, codec: Codec<T>, handler: Handler<T>): EventDispatcher
  readonly codec: Codec<Dispatched>
  readonly envelope: Envelope
  readonly handler: Handler<Dispatched>
}

const OP = 'consumer.dispatcher.handle'
const BY_HEADERS: Envelope = {
  id: record => headerText(record, HEADERS.eventId),
  type: record => headerText(record, HEADERS.eventType),
}
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} }

export function dispatcher(options: EventDispatcherOptions): EventDispatcher {
  const routes = new Map<string, Route>()
  const self: EventDispatcher = {
    on(eventType, codec, handler) {
      if (routes.has(eventType)) {
        throw new SluiceError('options', `event type ${eventType} has a handler already`)
      }
      // A route's handler is given nothing but what its own codec has made.
      routes.set(eventType, { codec, handler: handler as Handler<unknown> })
      return self
    },
    codec: codecOf(routes, options),
    envelope: envelopeOf(options),
    handler: handlerOf(options),
  }
  return self
}

function envelopeOf({ envelope = BY_HEADERS, log = SILENT, op = OP }: EventDispatcherOptions) {
  const named = (record: SourceRecord, text: string | undefined, complaint: string) => {
    if (text === undefined || text === '') log.warn({ op, ...placeFacts(record) }, complaint)
    return text
  }
  return {
    id: (record: SourceRecord) => named(record, envelope.id(record), 'empty event ID'),
    type: (record: SourceRecord) => named(record, envelope.type(record), 'empty event type'),
  }
}

function codecOf(
  routes: ReadonlyMap<string, Route>,
  { envelope = BY_HEADERS, log = SILENT, op = OP, unknown }: EventDispatcherOptions,
): Codec<Dispatched> {
  return {
    decode(value, record) {
      const eventType = envelope.type(record) ?? ''
      const facts = { op, eventType, ...placeFacts(record) }
      const route = routes.get(eventType)
      if (route === undefined) {
        log.warn(facts, 'invalid event type')
        if (unknown === 'bad') throw new BadMessage(`invalid event type: ${eventType}`)
        return { route: null, value: null }
      }
      try {
        return { route, value: route.codec.decode(value, record) }
      } catch (cause) {
        log.warn({ ...facts, err: cause }, 'invalid payload')
        throw new BadMessage(`invalid payload of type ${eventType}`, { cause })
      }
    },
  }
}

function handlerOf({ log, logPayload = false, op = OP }: EventDispatcherOptions) {
  return async (message: Message<Dispatched>, context: Context): Promise<Outcome> => {
    const { route, value } = message.value
    if (route === null) return { kind: 'drop', why: 'ignored' }
    const outcome = (await route.handler({ ...message, value }, context)) ?? DONE
    if (outcome.kind !== 'done') return outcome
    const { id: eventId, type: eventType, topic, partition, offset } = message
    const facts = { op, eventId, eventType, topic, partition, offset: String(offset) }
    const payload = logPayload ? { payload: value } : {}
    const told = log ?? context.log
    told.debug({ ...facts, ...payload }, 'successfully consume message')
    return outcome
  }
}

function placeFacts({ topic, partition, offset }: SourceRecord): object {
  return { topic, partition, offset: String(offset) }
}
