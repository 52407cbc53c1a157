import type { BatchHandler, Handler, SubscribeOptions } from '../../src/consumer/bus.ts'
import type { ConsumerEvent } from '../../src/consumer/consumer-events.ts'
import { DeliveryEngine } from '../../src/consumer/delivery-engine.ts'
import { Dependencies } from '../../src/consumer/dependencies.ts'
import { BatchHandling, Handling } from '../../src/consumer/handling.ts'
import { KafkaSubscription, type TaskScheduler } from '../../src/consumer/subscription.ts'
import { settingsOf } from '../../src/consumer/subscription-options.ts'
import { Database } from '../../src/postgres/database.ts'
import { openTransactionPool } from '../../src/postgres/transaction-pool.ts'
import { GroupControls } from '../../src/waiting-room/group-controls.ts'
import { HoldWatch } from '../../src/waiting-room/hold-watch.ts'
import { PostgresDeliveryStore } from '../../src/waiting-room/postgres-delivery-store.ts'
import { PostgresTaskStore } from '../../src/waiting-room/postgres-task-store.ts'
import { Scheduler } from '../../src/waiting-room/scheduler.ts'
import { cleanup } from './cleanup.ts'
import { JSON_CODEC, NO_LOG } from './engine-rig.ts'
import { newSource } from './kafkajs-source.ts'
import type { Scope } from './parts.ts'

export interface SubscriptionChoice {
  readonly url: string
  readonly group: string
  readonly topics: readonly string[]
  readonly handler?: Handler<unknown>
  readonly batch?: { readonly handler: BatchHandler<unknown>; readonly size: number }
  readonly subscribe?: Partial<SubscribeOptions>
}

export interface StartedSubscription {
  readonly subscription: KafkaSubscription
  readonly events: ConsumerEvent[]
  readonly dependencies: Dependencies
}

/** A subscription of real parts, stopped after the test. */
export async function startSubscription(
  t: Scope,
  { url, group, topics, handler = async () => {}, batch, subscribe }: SubscriptionChoice,
): Promise<StartedSubscription> {
  const settings = settingsOf({
    group,
    topics,
    codec: JSON_CODEC,
    retry: { baseMs: 20, maxMs: 100 },
    ...subscribe,
  })
  const events: ConsumerEvent[] = []
  const emit = (event: ConsumerEvent) => void events.push(event)
  const server = { url, applicationName: 'sluice subscription', statementTimeoutMs: 10_000 }
  const database = new Database({ ...server, connectionsMax: 2 })
  const pool = openTransactionPool({
    ...server,
    connectionsMax: 10,
    idleInTransactionTimeoutMs: 30_000,
  })
  const holds = await HoldWatch.start({ database, group, onEvent: emit, pollMs: 100 })
  const dependencies = new Dependencies({ emit, log: NO_LOG })
  const room = { pool, database, group, controlTopic: null }
  const parts = {
    settings,
    log: NO_LOG,
    call: <T>(name: string, work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal) =>
      dependencies.call(name, work, signal),
  }
  const handling = batch
    ? new BatchHandling(batch.handler, parts)
    : new Handling({ ...parts, handler })
  const source = newSource(t, { group, topics })
  const scheduling = { settings, handling, gate: dependencies, onEvent: emit }
  const scheduler = lazyScheduler(() => {
    return new Scheduler({
      ...scheduling,
      store: new PostgresTaskStore(room),
      concurrency: 4,
      pollMsMax: 100,
    })
  })
  const engine = new DeliveryEngine({
    settings,
    source,
    store: new PostgresDeliveryStore({ ...room, limits: settings.limits }),
    handling,
    ...(batch ? { batchSize: batch.size } : {}),
    gate: dependencies,
    holds,
    emit,
    parked: () => scheduler.wake(),
    listenerFailed: () => {},
    limits: { commitEveryMs: 50 },
  })
  const controls = new GroupControls({ pool, group, controlTopic: null, changed: async () => {} })
  const subscription = await KafkaSubscription.start({
    group,
    source,
    engine,
    scheduler,
    controls: {
      pause: (target, options) => controls.pause(target, options),
      resume: target => controls.resume(target),
      replay: async () => ({ matched: 0, enqueued: 0 }),
    },
    close: async () => {
      await holds.stop()
      await dependencies.stop()
      await pool.stop()
      await database.stop()
    },
  })
  cleanup(t, () => subscription.stop({ timeoutMs: 3_000 }))
  return { subscription, events, dependencies }
}

/** The scheduler claims from its making on, so it is made at the start. */
function lazyScheduler(make: () => Scheduler): TaskScheduler {
  let made: Scheduler | null = null
  return {
    start: async () => {
      made = make()
    },
    stop: async timeoutMs => await made?.stop(timeoutMs),
    wake: () => made?.wake(),
  }
}
