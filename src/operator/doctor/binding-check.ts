import type { OutboxAccess } from '../outbox-access.ts'
import { type Finding, fail, ok } from './finding.ts'

export interface Binding {
  readonly finding: Finding
  /** Kafka's cluster id that the outbox is bound to; null: none. */
  readonly clusterId: string | null
}

interface Row {
  readonly system: string
  readonly database: string
  readonly bound_system: string | null
  readonly bound_database: string | null
  readonly cluster: string | null
}

/** Is this the server and database that the outbox was bound to, or a copy of them? */
export async function checkBinding(outbox: OutboxAccess): Promise<Binding> {
  const [row] = await outbox.read(
    'reading the binding',
    tx => tx<Row[]>`
      select s.system_identifier::text as system, d.oid::text as database, i.system_identifier as bound_system,
        i.database_oid as bound_database, i.kafka_cluster_id as cluster
      from pg_control_system() s join pg_database d on d.datname = current_database()
        left join outbox.installation i on true`,
  )
  const clusterId = row?.cluster ?? null
  if (!row || row.bound_system === null) {
    return { finding: ok('binding', 'not bound yet: the first relay does it'), clusterId }
  }
  if (row.bound_system === row.system && row.bound_database === row.database) {
    return { finding: ok('binding', 'this server and database, as bound'), clusterId }
  }
  const found = `the outbox belongs to server ${row.bound_system}, database ${row.bound_database}; this is ${row.system}, ${row.database}`
  const cure =
    'this looks like a copy, which must not publish; only if it replaces the original, run once: sluice run --adopt'
  return { finding: fail('binding', found, cure), clusterId }
}
