import type postgres from 'postgres'
import type { OwnCluster } from '../faults/own-cluster.ts'
import type { OwnPostgres } from '../faults/own-postgres.ts'
import type { Topics } from './event-plan.ts'
import type { Fleet } from './fleet.ts'

/** What faults strike at. */
export interface Battlefield {
  readonly cluster: OwnCluster
  readonly postgres: OwnPostgres
  readonly fleet: Fleet
  readonly topics: Topics
  readonly partitions: number
  readonly leaseMs: number
  /** The campaign's database, past the proxy. */
  readonly directUrl: string
  readonly sql: postgres.Sql
}

export interface Strike {
  readonly target: string
  /** Undoes the fault; resolves when it is over for those who were hit. */
  heal(): Promise<void>
}

export interface FaultKind<F = Battlefield> {
  readonly name: string
  /** Two faults of one resource do not overlap. */
  readonly resource: (draw: Draw) => string
  /** Shortest and longest, in lease lengths. */
  readonly leases: readonly [number, number]
  /** Null when there is nothing to strike at. */
  strike(field: F, draw: Draw): Promise<Strike | null>
}

/** Numbers that a planned fault was given; they follow from the seed. */
export interface Draw {
  /** Which replica or broker, taken modulo their number. */
  readonly which: number
  /** Uniform in [0, 1), for what else there is to choose. */
  readonly chance: number
}
