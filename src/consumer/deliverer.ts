import { isRerun } from './classify.ts'
import type { Delivered, Delivery, DeliveryStore } from './delivery-store.ts'
import type { SubscriptionSettings } from './subscription-settings.ts'
import type { Tx } from './tx.ts'

/** As `DeliveryStore.deliver`; `signal`: nobody wants it any more. */
export type Deliver = (
  deliveries: readonly Delivery[],
  handle: (admitted: readonly Delivery[], tx: Tx) => Promise<void>,
  signal: AbortSignal,
) => Promise<readonly Delivered[]>

/** Times that a transaction that has lost against another one is run again at once. */
const RERUNS_MAX = 5

export function delivererOf(
  store: Pick<DeliveryStore, 'deliver'>,
  dedup: SubscriptionSettings['dedup'],
): Deliver {
  const remember = dedup === 'inbox'
  return async (deliveries, handle, signal) => {
    for (let reruns = 0; ; reruns++) {
      try {
        return await store.deliver(deliveries, handle, { remember })
      } catch (error) {
        if (reruns === RERUNS_MAX || signal.aborted || !isRerun(error)) throw error
      }
    }
  }
}
