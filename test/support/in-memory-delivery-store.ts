import type {
  Begun,
  Delivered,
  Delivery,
  DeliveryStore,
  Parking,
} from '../../src/consumer/delivery-store.ts'
import type { TopicPartition } from '../../src/consumer/record-source.ts'
import type { Tx } from '../../src/consumer/tx.ts'

export interface ParkedRecord {
  readonly messageId: string
  readonly parking: Parking
  readonly expiresAt: Date | null
}

/** An inbox and a waiting room of maps; a transaction that fails leaves nothing behind. */
export class InMemoryDeliveryStore implements DeliveryStore {
  readonly inbox = new Set<string>()
  readonly parked: ParkedRecord[] = []
  readonly farewells: string[] = []
  readonly attempted: bigint[] = []
  /** Sizes of the transactions that were begun. */
  readonly delivered: number[] = []
  /** Keys whose records wait. */
  readonly waitingKeys = new Set<string>()
  /** Thrown by the next `deliver` calls before anything else, one each. */
  readonly deliverErrors: Error[] = []
  /** Thrown by the next `deliver` calls after everything else took effect. */
  readonly commitErrors: Error[] = []
  readonly parkErrors: Error[] = []
  isFull = false
  begun: Begun = { starts: 1, attempted: null }
  attempts = 1
  begins = 0

  async deliver(
    deliveries: readonly Delivery[],
    handle: (admitted: readonly Delivery[], tx: Tx) => Promise<void>,
    { remember = true }: { readonly remember?: boolean } = {},
  ): Promise<Delivered[]> {
    const error = this.deliverErrors.shift()
    if (error) throw error
    this.delivered.push(deliveries.length)
    const claimed = new Set<string>()
    const outcomes = deliveries.map((delivery): Delivered => {
      const known = this.inbox.has(delivery.messageId) || claimed.has(delivery.messageId)
      if (remember && known) return 'duplicate'
      if (remember) claimed.add(delivery.messageId)
      return delivery.ordered && this.waitingKeys.has(keyOf(delivery)) ? 'behind' : 'handled'
    })
    const admitted = deliveries.filter((_, index) => outcomes[index] === 'handled')
    if (admitted.length > 0) await handle(admitted, NO_TX)
    for (const messageId of claimed) this.inbox.add(messageId)
    const late = this.commitErrors.shift()
    if (late) throw late
    return outcomes
  }

  async park(
    delivery: Delivery,
    parking: Parking,
    { expiresAt }: { expiresAt: Date | null },
  ): Promise<'parked' | 'duplicate'> {
    const error = this.parkErrors.shift()
    if (error) throw error
    const { messageId } = delivery
    if (this.inbox.has(messageId)) return 'duplicate'
    this.inbox.add(messageId)
    this.parked.push({ messageId, parking, expiresAt })
    if (delivery.ordered && parking.kind !== 'dead' && parking.kind !== 'drop') {
      this.waitingKeys.add(keyOf(delivery))
    }
    return 'parked'
  }

  async full(): Promise<boolean> {
    return this.isFull
  }

  async began(): Promise<Begun> {
    this.begins++
    return this.begun
  }

  async attempting(_: TopicPartition, offset: bigint): Promise<number> {
    this.attempted.push(offset)
    return this.attempts
  }

  async ended({ topic, partition }: TopicPartition): Promise<void> {
    this.farewells.push(`${topic}/${partition}`)
  }
}

/** What handlers of these tests get: they do not look at it. */
export const NO_TX = {} as Tx

function keyOf({ record }: Delivery): string {
  return `${record.topic}/${record.key?.toString('latin1')}`
}
