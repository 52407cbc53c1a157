import type { Outcome } from '../consumer/outcome.ts'
import { retryDue } from '../consumer/retry-due.ts'
import type { SubscriptionSettings } from '../consumer/subscription-settings.ts'
import type { TaskEnd } from './task-store.ts'

export type TaskEndSettings = Pick<
  SubscriptionSettings,
  'attemptsMax' | 'retry' | 'onBad' | 'deadLetterTopic'
>

/** How long a task is left alone whose dependency was found down. The gate keeps it away for longer, if need be. */
const DOWN_PAUSE_MS = 1_000

/**
 * What becomes of a task that was not handled.
 * @param attempts those spent so far, this one included
 */
export function taskEndOf(
  outcome: Exclude<Outcome, { kind: 'done' }>,
  attempts: number,
  settings: TaskEndSettings,
): TaskEnd {
  switch (outcome.kind) {
    case 'retry': {
      const { reason } = outcome
      if (attempts >= settings.attemptsMax) return deadEnd(reason, settings)
      return { kind: 'retry', due: retryDue(outcome, attempts, settings.retry), reason }
    }
    case 'hold':
      return { kind: 'hold', reason: outcome.reason }
    case 'bad':
      return deadEnd(outcome.reason, settings)
    case 'down':
      return { kind: 'give_back', due: { inMs: DOWN_PAUSE_MS } }
    case 'drop':
      return { kind: 'drop', why: outcome.why === 'expired' ? 'expired' : 'ignored' }
  }
}

function deadEnd(reason: string, { onBad, deadLetterTopic }: TaskEndSettings): TaskEnd {
  return onBad === 'log' ? { kind: 'drop', why: 'bad' } : { kind: 'dead', reason, deadLetterTopic }
}
