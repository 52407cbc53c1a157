import type { RelayListener } from '../events.ts'
import type { Database } from '../postgres/database.ts'
import { EventTable } from './event-table.ts'
import { IdTable } from './id-table.ts'
import type { Survey } from './lane-store.ts'
import { LaneTable, type ReplicaIdentity } from './lane-table.ts'
import { type Bell, LeasedAdapter } from './leased-adapter.ts'

export interface PostgresAdapterOptions {
  readonly database: Database
  readonly identity: ReplicaIdentity
  /** Length of a lane's lease until the first reservation asks for another. */
  readonly reserveMs: number
  /** 0: confirmed events are deleted; above: they move to `outbox.published`. */
  readonly retentionMs: number
  /** Dead letters are published to this topic too. */
  readonly deadLetterTopic: string | null
  readonly bell?: Bell | null
  readonly emit: RelayListener
  readonly onSurvey?: ((survey: Survey) => void) | undefined
}

/** The outbox in PostgreSQL: lane leases over the tables of `migrations/outbox`. */
export class PostgresAdapter extends LeasedAdapter {
  constructor(options: PostgresAdapterOptions) {
    const { database, identity, retentionMs, deadLetterTopic, ...rest } = options
    const { replica } = identity
    const keepsPublished = retentionMs > 0
    super({
      lanes: new LaneTable(database, identity),
      events: new EventTable(database, { replica, keepsPublished, deadLetterTopic }),
      ids: new IdTable(database, replica),
      ...rest,
    })
  }
}
