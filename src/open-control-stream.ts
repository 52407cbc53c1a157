/** Composition of a group's ear at the control topic. */

import type { SharedParts } from './bus-parts.ts'
import { DeliveryEngine } from './consumer/delivery-engine.ts'
import { Handling } from './consumer/handling.ts'
import type { MessageHandling } from './consumer/message-handling.ts'
import { DONE } from './consumer/outcome.ts'
import { KafkaSubscription, type TaskScheduler } from './consumer/subscription.ts'
import { settingsOf } from './consumer/subscription-options.ts'
import type { SubscriptionSettings } from './consumer/subscription-settings.ts'
import { describeError } from './errors.ts'
import { KafkajsSource } from './kafka/kafkajs-source.ts'
import {
  CONTROL_CODEC,
  CONTROL_ENVELOPE,
  type ControlMessage,
} from './waiting-room/control-codec.ts'
import { controlHandler } from './waiting-room/control-stream.ts'
import { PostgresDeliveryStore } from './waiting-room/postgres-delivery-store.ts'

export interface ControlStreamParts {
  /** Whose waiting room it is. */
  readonly group: string
  readonly controlTopic: string
  /** Something may be due, held or resumed now. */
  readonly onChange: () => void
}

/**
 * Joins a group of its own, so that each consumer group hears every command; those for others are passed over.
 * @throws SluiceError as `RecordSource.start`
 */
export function openControlStream(
  shared: SharedParts,
  { group, controlTopic, onChange }: ControlStreamParts,
): Promise<KafkaSubscription> {
  const { kafka, log, gate, emit } = shared
  const settings = settingsOf({
    group: `${group}.twr`,
    topics: [controlTopic],
    codec: CONTROL_CODEC,
    envelope: CONTROL_ENVELOPE,
    missingTopic: 'create',
    onBad: 'log',
    // What is put aside here nobody would take up again: a command may take as long as it needs.
    handlerTimeoutMs: 600_000,
  })
  const handle = controlHandler({ group, controlTopic, onEvent: emit, onChange })
  const handling = new Handling<ControlMessage>({
    settings,
    // What is passed over is remembered with the rest, in one transaction.
    handler: async (message, context) => {
      const outcome = await handle(message, context)
      return outcome?.kind === 'drop' ? DONE : outcome
    },
    call: (_dependency, call, signal) => call(signal),
    log,
  })
  const source = new KafkajsSource({ ...settings, connection: kafka, log })
  const store = new PostgresDeliveryStore({
    ...shared,
    group: settings.group,
    controlTopic: null,
    limits: settings.limits,
  })
  const engine = new DeliveryEngine({
    settings: settings as SubscriptionSettings,
    ...{ source, store, gate },
    handling: handling as MessageHandling,
    holds: { holds: () => false, onChange: () => () => {} },
    emit: event => {
      if (event.kind === 'store_failed' || event.kind === 'crashed') emit(event)
    },
    parked: () => {},
    listenerFailed: error => log.warn({ err: describeError(error) }, 'the control stream failed'),
  })
  const parts = { group: settings.group, source, engine }
  return KafkaSubscription.start({ ...parts, scheduler: NO_TASKS, controls: NO_CONTROLS })
}

const NO_TASKS: TaskScheduler = { start: async () => {}, stop: async () => {}, wake: () => {} }

/** Nobody has it in hand: commands are not held. */
const refused = () => Promise.reject(new Error('the control stream cannot be held'))
const NO_CONTROLS = { pause: refused, resume: refused, replay: refused }
