/** Public surface of the consumer kit; re-exports only. */
export { type BusSettings, createBus } from '../create-bus.ts'
export { type ErrorCode, SluiceError } from '../errors.ts'
export { enqueue } from '../outbox/enqueue.ts'
export type { NewEvent } from '../outbox/new-event.ts'
export { createConsumerMetrics } from '../telemetry/consumer-metrics.ts'
export type { Log } from '../telemetry/log.ts'
export {
  CONTROL_TOPIC,
  type TaskCommand,
  type TaskEvent,
  type TaskFilter,
} from '../waiting-room/control-event.ts'
export type {
  AggregateRoot,
  BatchContext,
  BatchHandler,
  BatchOptions,
  Bus,
  Context,
  DomainEvent,
  Handler,
  HoldTarget,
  RebalanceListener,
  ReplayQuery,
  ReplayReport,
  SubscribeOptions,
  Subscription,
  SubscriptionState,
} from './bus.ts'
export type { Codec, Envelope } from './codec.ts'
export { bytesCodec, type CodecOptions, jsonCodec, textCodec } from './codecs.ts'
export type { ConsumerEvent, ConsumerListener } from './consumer-events.ts'
export type { DependencyOptions } from './dependencies.ts'
export { AggregateRootBase } from './domain-event.ts'
export {
  type Dispatched,
  dispatcher,
  type EventDispatcher,
  type EventDispatcherOptions,
} from './event-dispatcher.ts'
export { createMemoryBus, type MemoryBus, type MemoryBusOptions } from './memory-bus.ts'
export { HEADERS, type Message, type RecordHeader, type SourceRecord } from './message.ts'
export { BadMessage, DependencyDown, DONE, type Outcome, RetryAt } from './outcome.ts'
export type { CommitOffset, TopicPartition } from './record-source.ts'
export type { Tx } from './tx.ts'
