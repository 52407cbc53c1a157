import type { ConsumerListener } from './consumer/consumer-events.ts'
import type { DependencyGate } from './consumer/gates.ts'
import type { KafkaConnection } from './kafka/connection.ts'
import type { Database } from './postgres/database.ts'
import type { TransactionPool } from './postgres/transaction-pool.ts'
import type { Log } from './telemetry/log.ts'

/** What all subscriptions of a bus share. */
export interface SharedParts {
  readonly database: Database
  readonly pool: TransactionPool
  readonly gate: DependencyGate
  readonly kafka: KafkaConnection
  readonly controlTopic: string | null
  readonly emit: ConsumerListener
  readonly log: Log
  /** Aborted once the bus closes. */
  readonly closing: AbortSignal
}
