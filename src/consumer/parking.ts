import type { NotDoneOutcome } from './classify.ts'
import type { Parking } from './delivery-store.ts'
import { retryDue } from './retry-due.ts'
import type { SubscriptionSettings } from './subscription-settings.ts'

export type ParkingSettings = Pick<
  SubscriptionSettings,
  'attemptsMax' | 'retry' | 'retryTopic' | 'onBad' | 'deadLetterTopic'
>

/**
 * What becomes of a record that was not handled.
 * @param attempts those spent so far, this one included
 */
export function parkingOf(
  outcome: Exclude<NotDoneOutcome, { kind: 'down' }>,
  attempts: number,
  settings: ParkingSettings,
): Parking {
  switch (outcome.kind) {
    case 'bad':
      return deadParking(outcome.reason, attempts, settings)
    case 'hold':
      return { kind: 'hold', attempts, reason: outcome.reason }
    case 'drop':
      return { kind: 'drop', why: outcome.why === 'expired' ? 'expired' : 'ignored' }
    case 'retry': {
      const { reason } = outcome
      if (attempts >= settings.attemptsMax) return deadParking(reason, attempts, settings)
      const again = { due: retryDue(outcome, attempts, settings.retry), attempts, reason }
      const { retryTopic } = settings
      return retryTopic === null
        ? { kind: 'retry', ...again }
        : { kind: 'reproduce', ...again, topic: retryTopic }
    }
  }
}

/** The end of a message that cannot be handled, as the subscription wants it. */
export function deadParking(
  reason: string,
  attempts: number,
  { onBad, deadLetterTopic }: ParkingSettings,
): Parking {
  if (onBad === 'log') return { kind: 'drop', why: 'bad' }
  return { kind: 'dead', attempts, reason, deadLetterTopic }
}
