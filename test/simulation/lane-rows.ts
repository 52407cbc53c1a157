import type { LockMode, Transaction } from './transaction.ts'

export const LANES = 64

/** A row of `outbox.lanes` and who has locked it. */
export interface LaneRow {
  readonly lane: number
  owner: string | null
  epoch: number
  leasedUntilMs: number
  lowWater: bigint
  readonly holders: Map<Transaction, LockMode>
  readonly waiting: (() => void)[]
}

export function newLaneRows(): LaneRow[] {
  return Array.from({ length: LANES }, (_, lane) => ({
    lane,
    owner: null,
    epoch: 0,
    leasedUntilMs: Number.NEGATIVE_INFINITY,
    lowWater: 0n,
    holders: new Map(),
    waiting: [],
  }))
}

export function laneOf(key: string | null, id: number): number {
  if (key === null) return id & 63
  let hash = 0x811c9dc5
  for (let index = 0; index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193)
  }
  return (hash ^ (hash >>> 15)) & 63
}
