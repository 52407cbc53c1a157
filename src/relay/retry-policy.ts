import { fullJitterMs } from '../internal/backoff.ts'
import type { FailedEvent } from '../outbox/adapter.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { Rejected } from './producer.ts'

export interface RetryPolicy {
  /** After this many attempts a refused event becomes a dead letter. */
  readonly attemptsMax: number
  readonly retryBaseMs: number
  readonly retryMaxMs: number
  /** Topics whose keys wait behind a dead letter until someone has looked at it; `*` for all. */
  readonly blockingTopics: readonly string[]
}

/**
 * What becomes of an event that was refused through its own fault: another attempt after a backoff, or, when its
 * attempts are spent or the refusal can never change, the dead letter.
 */
export function failureOf(
  event: OutboxEvent,
  { code, message, permanent }: Rejected,
  policy: RetryPolicy,
  random: () => number = Math.random,
): FailedEvent {
  const attempt = event.attempts + 1
  if (permanent || attempt >= policy.attemptsMax) {
    const dead = { event, kind: 'dead', reason: code, error: message, retryDelayMs: 0 } as const
    return blocks(event, policy) ? { ...dead, blocksKey: true } : dead
  }
  const retryDelayMs = fullJitterMs(attempt, policy.retryBaseMs, policy.retryMaxMs, random)
  return { event, kind: 'retry', reason: code, error: message, retryDelayMs }
}

function blocks({ topic, key }: OutboxEvent, { blockingTopics }: RetryPolicy): boolean {
  return key !== null && (blockingTopics.includes(topic) || blockingTopics.includes('*'))
}
