import { fullJitterMs } from '../internal/backoff.ts'
import type { Due } from './delivery-store.ts'
import type { Outcome } from './outcome.ts'

export interface RetryBackoff {
  readonly baseMs: number
  readonly maxMs: number
}

/**
 * When a message is tried again.
 * @param attempts those spent so far, this one included
 */
export function retryDue(
  outcome: Extract<Outcome, { kind: 'retry' }>,
  attempts: number,
  { baseMs, maxMs }: RetryBackoff,
): Due {
  return outcome.at ? { at: outcome.at } : { inMs: fullJitterMs(attempts, baseMs, maxMs) }
}
