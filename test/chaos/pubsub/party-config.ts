import { config } from '../../../src/pubsub/index.ts'
import type { PartySpec } from './party-spec.ts'

/** Waits cut short, so that a minute shows what takes ten; the session is the shortest that brokers allow. */
export const SESSION_MS = 6_000
const TUNING = {
  sessionTimeoutMs: SESSION_MS,
  rebalanceTimeoutMs: 10_000,
  heartbeatIntervalMs: 500,
}

export function configOf(spec: PartySpec): config {
  return new config({
    connection: { brokers: spec.brokers, clientId: spec.name },
    topics: { worker: spec.workerTopic, reply_to: spec.replyTopic },
    groups: { worker: spec.workerGroup, reply_to: spec.replyGroup },
    reply_group: spec.replies,
    publish_timeout_ms: spec.timeoutMs,
    connect_timeout_ms: 30_000,
    drain_timeout_ms: 5_000,
    tuning: TUNING,
  })
}
