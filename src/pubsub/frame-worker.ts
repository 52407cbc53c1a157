/**
 * Workers with PostgreSQL: frames of the worker topic handled by the consumer kit, their replies sent through the
 * outbox, so that an effect and its reply happen together and once.
 *
 * A request may be sent again, under the same frame id, because its reply was not seen. Each sending is a message of its
 * own and is answered, and only the first one that is handled has an effect. So the inbox has two kinds of rows:
 * `<id>@<topic>/<partition>/<offset>`, by which the kit passes over a record that it is given twice, and `<id>`, by which a
 * request is known to have been handled.
 */
import type { Bus, Context, SubscribeOptions, Subscription } from '../consumer/bus.ts'
import type { Codec, Envelope } from '../consumer/codec.ts'
import { HEADERS, type Message, placeOf, type SourceRecord } from '../consumer/message.ts'
import { BadMessage } from '../consumer/outcome.ts'
import { enqueue } from '../outbox/enqueue.ts'
import { PARTITION_HEADER } from '../outbox/partition-header.ts'
import { AirCoreFrame } from './air-core-frame.ts'
import { binary_frames, type FrameCodec } from './frame-codec.ts'

/**
 * What a request comes to: a reply (`AirCoreFrame.reply`, `AirCoreFrame.fail`) or its payload. Nothing: there is no
 * reply, or `replyFrame` has sent them all.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a worker that answers nothing is a usual one
export type Answer = AirCoreFrame | Uint8Array | string | void

export interface FrameWorker {
  /**
   * Called with each request and event. Its effects belong into `context.sql`; what it throws is classified as in any
   * handler, and rolls back effect and reply.
   */
  handle(frame: AirCoreFrame, context: Context): Promise<Answer>
  /**
   * Called instead with a request that was handled before: the one who asked may not have seen the reply, and has
   * asked again. It answers from what the effect has left, and has none itself. Default: a failure with code
   * `already_handled`.
   */
  handled_before?(frame: AirCoreFrame, context: Context): Promise<Answer>
}

export interface FrameSubscribeOptions
  extends Omit<SubscribeOptions<AirCoreFrame>, 'codec' | 'envelope'> {
  /** Where replies may go. A request that wants its reply elsewhere is a bad message: it could name any topic. */
  readonly reply_topics: readonly string[]
  /** That of the config with which requests are sent. Default: the binary layout. */
  readonly frame_codec?: FrameCodec
}

/**
 * Subscribes a worker to a topic of frames. With `dedup: 'none'` nothing is remembered of requests: one that is sent
 * again is handled again.
 * @throws SluiceError as `bus.subscribe`
 */
export function subscribeFrames(
  bus: Bus,
  { frame_codec = binary_frames, reply_topics, ...options }: FrameSubscribeOptions,
  worker: FrameWorker,
): Promise<Subscription> {
  const remembers = options.dedup !== 'none'
  return bus.subscribe({ ...options, ...frameMessages(frame_codec) }, async (message, context) => {
    const { value: frame } = message
    if (frame.reply_to !== null && !reply_topics.includes(frame.reply_to.topic)) {
      throw new BadMessage('it asks for a reply in a topic that is none of reply_topics')
    }
    const isFirst =
      !remembers || frame.kind !== 'request' || (await claim(options.group, message, context))
    const answer = isFirst
      ? await worker.handle(frame, context)
      : await handledBefore(worker, frame, context)
    const reply = replyOf(frame, answer)
    if (reply !== null) await replyFrame(context, reply, frame_codec)
  })
}

/**
 * The subscription options `codec` and `envelope` for records whose values are frames: a message's value is the frame,
 * its type the frame's, its id the frame's, for a request that of one sending. What is no frame is a bad message.
 */
export function frameMessages(frame_codec: FrameCodec = binary_frames): {
  readonly codec: Codec<AirCoreFrame>
  readonly envelope: Envelope
} {
  // The kit asks for id, type and value of a record one after the other.
  const decoded = new WeakMap<SourceRecord, AirCoreFrame>()
  const frameOf = (record: SourceRecord): AirCoreFrame => {
    if (record.value === null) throw new BadMessage('the record has no value')
    const frame = decoded.get(record) ?? frame_codec.decode(record.value)
    decoded.set(record, frame)
    return frame
  }
  return {
    codec: { decode: (_, record) => frameOf(record) },
    envelope: {
      id: record => idOf(frameOf(record), record),
      type: record => frameOf(record).type,
    },
  }
}

/**
 * Sends a reply at the commit of the handler's transaction, to the partition where its requester listens. For several
 * replies to one request: all but the last with `last: false`, published in the order of the calls.
 * @throws BadMessage: the frame names no place to go to
 */
export async function replyFrame(
  context: Pick<Context, 'sql'>,
  reply: AirCoreFrame,
  frame_codec: FrameCodec = binary_frames,
): Promise<void> {
  const { reply_to, correlation_id } = reply
  if (reply_to === null || correlation_id === null) {
    throw new BadMessage('its reply names no place to go to: make it by AirCoreFrame.reply')
  }
  const partition = String(reply_to.partition)
  await enqueue(context.sql, {
    topic: reply_to.topic,
    key: correlation_id,
    eventId: reply.id,
    eventType: reply.type,
    payloadBytes: frame_codec.encode(reply),
    headers: {
      [HEADERS.correlationId]: correlation_id,
      [HEADERS.replyPartition]: partition,
      [PARTITION_HEADER]: partition,
    },
  })
}

function idOf({ id, kind }: AirCoreFrame, record: SourceRecord): string {
  return kind === 'request' ? `${id}@${placeOf(record)}` : id
}

/**
 * Remembers the request, until the inbox forgets ids. Of two sendings at a time the second one waits here for the
 * first one's transaction.
 * @returns false: it was handled before
 */
async function claim(
  group: string,
  { value, topic, partition, offset }: Message<AirCoreFrame>,
  { sql }: Context,
): Promise<boolean> {
  const { count } = await sql`
    insert into waiting_room.inbox (group_id, message_id, topic, partition, "offset")
    values (${group}, ${value.id}, ${topic}, ${partition}, ${String(offset)}::bigint)
    on conflict do nothing`
  return count === 1
}

async function handledBefore(
  worker: FrameWorker,
  frame: AirCoreFrame,
  context: Context,
): Promise<Answer> {
  if (worker.handled_before) return worker.handled_before(frame, context)
  if (frame.reply_to === null) return
  const message = 'the request was handled before, and its reply is not kept'
  return AirCoreFrame.fail(frame, { code: 'already_handled', message })
}

function replyOf(frame: AirCoreFrame, answer: Answer): AirCoreFrame | null {
  if (answer === undefined || answer instanceof AirCoreFrame) return answer ?? null
  return frame.reply_to === null ? null : AirCoreFrame.reply(frame, answer)
}
