import { randomUUID } from 'node:crypto'
import {
  AirCoreFrame,
  config,
  type LocalOptions,
  publisher,
  topic_type,
  worker_subscriber,
} from '../../src/pubsub/index.ts'
import { cleanup } from './cleanup.ts'
import { createTopic } from './kafka.ts'
import { kafkaBrokers, type Scope, uniqueName } from './parts.ts'

export interface PubsubChoice extends LocalOptions {
  /** Default 2. */
  readonly worker_partitions?: number
  /** Default 2. */
  readonly reply_partitions?: number
}

/** Both topics and groups of the test's own; sessions are as short as brokers allow. */
export async function newConfig(t: Scope, choice: PubsubChoice = {}): Promise<config> {
  const { worker_partitions = 2, reply_partitions = 2, ...options } = choice
  const worker = await createTopic(t, { partitions: worker_partitions })
  const reply_to = await createTopic(t, { partitions: reply_partitions })
  return configOf({ ...options, topics: { worker, reply_to } })
}

/** Topics that are not there. */
export function configOfMissing(t: Scope, options: LocalOptions = {}): config {
  const topics = { worker: uniqueName(t, 80), reply_to: uniqueName(t, 80) }
  return configOf({ ...options, topics })
}

export function configOf(options: LocalOptions): config {
  return config.local({
    brokers: kafkaBrokers(),
    create_topics: null,
    groups: { worker: `w-${randomUUID()}`, reply_to: `r-${randomUUID()}` },
    drain_timeout_ms: 3_000,
    ...options,
    tuning: {
      sessionTimeoutMs: 6_000,
      rebalanceTimeoutMs: 10_000,
      heartbeatIntervalMs: 200,
      maxWaitMs: 100,
      ...options.tuning,
    },
  })
}

/** Closed after the test. */
export function owned<T extends AsyncDisposable>(t: Scope, part: T): T {
  cleanup(t, async () => {
    await part[Symbol.asyncDispose]()
  })
  return part
}

export interface StartedWorker {
  readonly subscriber: worker_subscriber
  readonly sender: publisher
  /** Resolves when the subscriber is closed; rejects as a handler did. */
  readonly completed: Promise<void>
}

/** A worker that is connected, with so many loops. Ended after the test. */
export async function startWorker(
  t: Scope,
  settings: config,
  handle: (frame: AirCoreFrame, reply: (frame: AirCoreFrame) => Promise<unknown>) => Promise<void>,
  loops = 8,
): Promise<StartedWorker> {
  const sender = owned(t, publisher.create(settings))
  const subscriber = owned(t, worker_subscriber.create(settings))
  await Promise.all([subscriber.connect(), sender.connect()])
  const reply = (frame: AirCoreFrame) => sender.send(frame, { topic_type: topic_type.reply_to })
  const loop = async () => {
    for await (const frame of subscriber.frames) await handle(frame, reply)
  }
  const completed = Promise.all(Array.from({ length: loops }, loop)).then(() => {})
  completed.catch(() => {})
  return { subscriber, sender, completed }
}

/** Answers each request with its own payload. */
export async function echo(
  frame: AirCoreFrame,
  reply: (frame: AirCoreFrame) => Promise<unknown>,
): Promise<void> {
  await reply(AirCoreFrame.reply(frame, frame.payload))
}
