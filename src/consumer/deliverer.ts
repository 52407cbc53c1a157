import type { TransactionPool } from '../postgres/transaction-pool.ts'
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

export interface DelivererParts {
  readonly dedup: SubscriptionSettings['dedup']
  readonly store: Pick<DeliveryStore, 'deliver'>
  readonly transaction: TransactionPool['transaction']
}

/** Times that a transaction that has lost against another one is run again at once. */
const RERUNS_MAX = 5

export function delivererOf({ dedup, store, transaction }: DelivererParts): Deliver {
  const once: Deliver =
    dedup === 'inbox'
      ? (deliveries, handle) => store.deliver(deliveries, handle)
      : async (deliveries, handle, signal) => {
          await transaction(tx => handle(deliveries, tx), { signal })
          return deliveries.map(() => 'handled')
        }
  return async (deliveries, handle, signal) => {
    for (let reruns = 0; ; reruns++) {
      try {
        return await once(deliveries, handle, signal)
      } catch (error) {
        if (reruns === RERUNS_MAX || signal.aborted || !isRerun(error)) throw error
      }
    }
  }
}
