/** Public surface of pub/sub; re-exports only. */
export { type ErrorCode, SluiceError } from '../errors.ts'
export type { Log } from '../telemetry/log.ts'
export { AirCoreFrame, type NewFrame, type ReplyOptions } from './air-core-frame.ts'
export { BadFrame } from './bad-frame.ts'
export {
  type ConfigOptions,
  config,
  type LocalOptions,
  type ManagedOptions,
  type SharedOptions,
  type TopicCreation,
  type TopicNames,
} from './config.ts'
export {
  type AskOptions,
  Correspondent,
  type CorrespondentOptions,
  type RequestOptions,
} from './correspondent.ts'
export { binary_frames, type FrameCodec } from './frame-codec.ts'
export type { FrameError, FrameFields, FrameKind, ReplyAddress } from './frame-fields.ts'
export type { AssignedPartition, AssignmentListener } from './frame-source.ts'
export type { FrameStream } from './frame-stream.ts'
export {
  type Answer,
  type FrameSubscribeOptions,
  type FrameWorker,
  frameMessages,
  replyFrame,
  subscribeFrames,
} from './frame-worker.ts'
export { partition_tracking } from './partition-tracking.ts'
export { json_payload, type PayloadCodec, text_payload } from './payload-codec.ts'
export { publisher, type SendOptions, type Sent } from './publisher.ts'
export {
  NoPartition,
  RepliesOverflow,
  ReplyPartitionLost,
  type RequestFacts,
  RequestFailed,
  RequestTimeout,
} from './pubsub-errors.ts'
export { reply_to_subscriber } from './reply-to-subscriber.ts'
export type { SubscriberOptions } from './subscriber-options.ts'
export { topic_type } from './topic-type.ts'
export { worker_subscriber } from './worker-subscriber.ts'
