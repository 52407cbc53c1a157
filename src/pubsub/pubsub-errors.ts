import type { AirCoreFrame } from './air-core-frame.ts'
import type { FrameError } from './frame-fields.ts'
import { PubsubError } from './pubsub-error.ts'

/** What is known of a request that was not answered. */
export interface RequestFacts {
  readonly request_id: string
  /** Where the reply was expected; null: no reply partition was there in time, and nothing was sent. */
  readonly partition: number | null
  /** The brokers have confirmed the request. */
  readonly published: boolean
}

const CURE = 'send it again with the same frame id, so that the worker can tell that it is the same'

/** No reply came in time. Whether the request was handled is unknown, unless nothing was sent. */
export class RequestTimeout extends PubsubError {
  readonly timeout_ms: number

  constructor(facts: RequestFacts, timeout_ms: number, cause?: unknown) {
    const { request_id, partition, published } = facts
    const known =
      partition === null
        ? 'it was not sent, because no reply partition was assigned'
        : published
          ? 'the brokers have it, and whether it was handled is unknown'
          : 'the brokers have not confirmed it, and whether it was handled is unknown'
    super(
      'RequestTimeout',
      'broker',
      `request ${request_id} got no reply within ${timeout_ms} ms: ${known}; ${CURE}`,
      { retryable: true, cause, details: { ...facts, timeout_ms } },
    )
    this.timeout_ms = timeout_ms
  }
}

/** The partition where the reply was expected is read by another now. Whether the request was handled is unknown. */
export class ReplyPartitionLost extends PubsubError {
  constructor(facts: RequestFacts) {
    super(
      'ReplyPartitionLost',
      'broker',
      `request ${facts.request_id} will get no reply, because reply partition ${facts.partition} is not read here any more: whether it was handled is unknown; ${CURE}`,
      { retryable: true, details: { ...facts } },
    )
  }
}

/** The worker has answered that the work failed. */
export class RequestFailed extends PubsubError {
  /** The worker's code and message. */
  readonly failure: FrameError
  readonly reply: AirCoreFrame

  constructor(request_id: string, reply: AirCoreFrame, failure: FrameError) {
    super(
      'RequestFailed',
      'event',
      `the worker refused request ${request_id}: ${failure.code}: ${failure.message}`,
      { details: { request_id, failure_code: failure.code } },
    )
    this.failure = failure
    this.reply = reply
  }
}

/** No reply partition was assigned in time. */
export class NoPartition extends PubsubError {
  constructor(waited_ms: number) {
    super(
      'NoPartition',
      'broker',
      `no reply partition was assigned within ${waited_ms} ms: the topic needs as many partitions as there are instances, or let reply_group be 'instance'`,
      { retryable: true, details: { waited_ms } },
    )
  }
}

/** More replies came than may wait to be read. */
export class RepliesOverflow extends PubsubError {
  constructor(request_id: string, replies: number) {
    super(
      'RepliesOverflow',
      'lifecycle',
      `${replies} replies to request ${request_id} wait to be read, which is frames_max: read them faster, or raise it`,
      { details: { request_id, replies } },
    )
  }
}
