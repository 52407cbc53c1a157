import { seededRandom } from './random.ts'

export type Stream = 'orders' | 'payments'

/** The ways of writing an event that the shop shows: a plain insert, the SQL function, the TypeScript function. */
export type WayOfWriting = 'insert' | 'sql_function' | 'enqueue'

export interface PlannedEvent {
  readonly stream: Stream
  /** Index of the customer whose name is the key. */
  readonly customer: number
  readonly eventType: string
}

/** One transaction of the shop. */
export interface Purchase {
  readonly buyer: number
  readonly totalCents: number
  /** 1 to 3 events for 1 or 2 customers. */
  readonly events: readonly PlannedEvent[]
  readonly rollsBack: boolean
  readonly way: WayOfWriting
}

const ROLLED_BACK_SHARE = 0.1
const WAYS: readonly WayOfWriting[] = ['insert', 'sql_function', 'enqueue']

/**
 * What the n-th transaction of a run does. It follows from seed and n alone, whichever writer carries it out.
 * @param eventsMax the last transactions of a run must not write more than is left
 */
export function planPurchase(
  seed: number,
  n: number,
  customers: number,
  eventsMax: number,
): Purchase {
  const random = seededRandom(seed * 0x9e3779b1 + n * 0x85ebca6b)
  const pick = (below: number) => Math.floor(random() * below)
  const buyer = pick(customers)
  const friend = (buyer + 1 + pick(customers - 1)) % customers
  const placed = { stream: 'orders', customer: buyer, eventType: 'OrderPlaced' } as const
  const paid = { stream: 'payments', customer: buyer, eventType: 'PaymentReceived' } as const
  const gift = { stream: 'orders', customer: friend, eventType: 'GiftAnnounced' } as const
  const size = 1 + pick(3)
  const way = WAYS[pick(WAYS.length)] as WayOfWriting
  return {
    buyer,
    totalCents: 100 + pick(20_000),
    events: [placed, paid, gift].slice(0, Math.min(size, eventsMax)),
    rollsBack: random() < ROLLED_BACK_SHARE,
    way,
  }
}
