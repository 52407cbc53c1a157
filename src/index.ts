/** Public surface of the package; re-exports only. */
export {
  createOutbox,
  type Outbox,
  type OutboxFacts,
  type OutboxSettings,
} from './create-outbox.ts'
export { createProducer } from './create-producer.ts'
export { type ErrorCode, SluiceError } from './errors.ts'
export type { BreakerState, RelayEvent, RelayListener } from './events.ts'
export { monotonicMs } from './internal/monotonic.ts'
export { migrate } from './migrate.ts'
export { loadOptions, type Options } from './options.ts'
export type {
  FailedEvent,
  LaneLease,
  OutboxAdapter,
  PublishedEvent,
  Reservation,
  ReserveOptions,
  Settled,
} from './outbox/adapter.ts'
export { enqueue } from './outbox/enqueue.ts'
export type { OutboxEvent } from './outbox/event.ts'
export type { NewEvent } from './outbox/new-event.ts'
export type { Acked, Outcome, Producer, Rejected, Unknown } from './relay/producer.ts'
export {
  ProducerStreams,
  type ProducerStreamsOptions,
  type UnpublishedEvent,
} from './relay/producer-streams.ts'
export type { Log } from './telemetry/log.ts'
