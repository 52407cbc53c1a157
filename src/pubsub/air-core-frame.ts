import { randomUUID } from 'node:crypto'
import { describeError, SluiceError } from '../errors.ts'
import { BadFrame } from './bad-frame.ts'
import { decodeFrame, encodeFrame } from './frame-binary.ts'
import {
  checkedFields,
  type FrameError,
  type FrameFields,
  type FrameKind,
  type ReplyAddress,
} from './frame-fields.ts'

export interface NewFrame {
  readonly type: string
  /** Text is sent as UTF-8. Default: empty. */
  readonly payload?: Uint8Array | string
  /** Default null. */
  readonly key?: string | null
  /** Default: a new one. */
  readonly id?: string
  /** Default: now. */
  readonly at?: number
}

export interface ReplyOptions {
  /** Default: the request's. */
  readonly type?: string
  /** False: more replies to the same request follow. Default true. */
  readonly last?: boolean
  /** Default: a new one. */
  readonly id?: string
  /** Default: now. */
  readonly at?: number
}

const FAILURE_CHARS_MAX = 2_000

/** What is sent and received. A value: nothing of it changes, and the payload is a copy. */
export class AirCoreFrame implements FrameFields {
  readonly id: string
  readonly kind: FrameKind
  readonly type: string
  readonly key: string | null
  readonly correlation_id: string | null
  readonly reply_to: ReplyAddress | null
  readonly last: boolean
  readonly error: FrameError | null
  readonly at: number
  /** Not to be written to. */
  readonly payload: Uint8Array

  /** @throws SluiceError `event` that names the field */
  constructor(fields: FrameFields) {
    const checked = checkedFields(fields)
    this.id = checked.id
    this.kind = checked.kind
    this.type = checked.type
    this.key = checked.key
    this.correlation_id = checked.correlation_id
    this.reply_to = checked.reply_to
    this.last = checked.last
    this.error = checked.error
    this.at = checked.at
    this.payload = checked.payload
    Object.freeze(this)
  }

  /** Work for whoever takes it; a Correspondent adds where the reply goes. @throws SluiceError `event` */
  static request(frame: NewFrame): AirCoreFrame {
    return newFrame('request', frame)
  }

  /** News that nobody answers. @throws SluiceError `event` */
  static event(frame: NewFrame): AirCoreFrame {
    return newFrame('event', frame)
  }

  /** @throws SluiceError `event`, also when the request names no place for a reply */
  static reply(
    request: AirCoreFrame,
    payload: Uint8Array | string = '',
    options: ReplyOptions = {},
  ): AirCoreFrame {
    return newReply(request, payload, null, options)
  }

  /** A reply that says that the work failed. A message of more than 2,000 characters is cut. */
  static fail(
    request: AirCoreFrame,
    { code, message }: FrameError,
    options: ReplyOptions = {},
  ): AirCoreFrame {
    // It may be any error's: half of a surrogate pair must not hide what went wrong.
    const cut = message.slice(0, FAILURE_CHARS_MAX).replace(/\p{Surrogate}/gu, '\ufffd')
    return newReply(request, '', { code, message: cut }, options)
  }

  /** @throws BadFrame */
  static fromBinary(bytes: Uint8Array): AirCoreFrame {
    const fields = decodeFrame(bytes)
    try {
      return new AirCoreFrame(fields)
    } catch (error) {
      throw new BadFrame(describeError(error))
    }
  }

  toBinary(): Buffer {
    return encodeFrame(this)
  }

  /** The same frame with some fields changed. @throws SluiceError `event` */
  with(changes: Partial<FrameFields>): AirCoreFrame {
    return new AirCoreFrame({ ...this, ...changes })
  }

  /** The payload as UTF-8 text. */
  text(): string {
    const { buffer, byteOffset, byteLength } = this.payload
    return Buffer.from(buffer, byteOffset, byteLength).toString('utf8')
  }
}

function newFrame(kind: 'request' | 'event', frame: NewFrame): AirCoreFrame {
  return new AirCoreFrame({
    id: frame.id ?? randomUUID(),
    kind,
    type: frame.type,
    key: frame.key ?? null,
    correlation_id: null,
    reply_to: null,
    last: true,
    error: null,
    at: frame.at ?? Date.now(),
    payload: bytesOf(frame.payload ?? ''),
  })
}

function newReply(
  request: AirCoreFrame,
  payload: Uint8Array | string,
  error: FrameError | null,
  options: ReplyOptions,
): AirCoreFrame {
  const { correlation_id, reply_to } = request
  if (correlation_id === null || reply_to === null) {
    throw new SluiceError(
      'event',
      `frame ${request.id} names no place for a reply: only a request that a Correspondent has sent can be replied to`,
    )
  }
  return new AirCoreFrame({
    id: options.id ?? randomUUID(),
    kind: 'reply',
    type: options.type ?? request.type,
    key: null,
    correlation_id,
    reply_to,
    last: options.last ?? true,
    error,
    at: options.at ?? Date.now(),
    payload: bytesOf(payload),
  })
}

function bytesOf(payload: Uint8Array | string): Uint8Array {
  return typeof payload === 'string' ? Buffer.from(payload, 'utf8') : payload
}
