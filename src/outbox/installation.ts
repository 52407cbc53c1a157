import { SluiceError } from '../errors.ts'
import type { Database, Sql } from '../postgres/database.ts'

/** Where an outbox belongs. */
export interface Installation {
  readonly systemIdentifier: string
  readonly databaseOid: string
  /** null until a relay has spoken to Kafka for the first time. */
  readonly kafkaClusterId: string | null
}

interface InstallationRow {
  readonly standby: boolean
  readonly system_identifier: string
  readonly database_oid: string
  readonly bound_system: string | null
  readonly bound_oid: string | null
  readonly bound_cluster: string | null
}

const CURE =
  'if this copy is now the one to publish from, run once: sluice run --adopt; otherwise point it elsewhere'

/**
 * Refuses a standby, and a copy of another server's database: a relay there would publish the original's events a
 * second time. The first relay on a new schema binds it.
 *
 * A copy on the same server gets another database oid, a dump restored elsewhere another system identifier. A
 * file-level copy that was promoted keeps both, as a legitimate failover does: only its Kafka cluster can tell it.
 *
 * @param adopt binds the outbox to this place, whatever it was bound to; audited
 * @throws SluiceError `database`: a standby; `schema`: bound elsewhere
 */
export async function checkInstallation(
  database: Database,
  { adopt, actor }: { adopt: boolean; actor: string },
): Promise<Installation> {
  const here = await database.run('checking where the outbox belongs', readPlace)
  if (here.standby) {
    throw new SluiceError(
      'database',
      'this server is a standby: events can only be published from the primary; give DATABASE_URL the primary’s address',
    )
  }
  if (here.bound_system === null) return bind(database)
  const same = here.bound_system === here.system_identifier && here.bound_oid === here.database_oid
  if (same && !adopt) {
    return {
      systemIdentifier: here.system_identifier,
      databaseOid: here.database_oid,
      kafkaClusterId: here.bound_cluster,
    }
  }
  if (!adopt) {
    throw new SluiceError(
      'schema',
      `this outbox belongs to database ${here.bound_oid} of server ${here.bound_system}, but this is database ${here.database_oid} of server ${here.system_identifier}: it looks like a copy, and the original’s relay publishes the same events. ${CURE}`,
    )
  }
  return rebind(database, actor)
}

/**
 * Binds an outbox that has none yet to this Kafka cluster.
 * @returns the cluster that it belongs to: this one, or the one that another relay has just bound it to
 */
export async function bindCluster(database: Database, clusterId: string): Promise<string> {
  const [row] = await database.run(
    'binding the outbox to its Kafka cluster',
    sql => sql<{ kafka_cluster_id: string }[]>`
      update outbox.installation set kafka_cluster_id = coalesce(kafka_cluster_id, ${clusterId})
      returning kafka_cluster_id`,
  )
  return row?.kafka_cluster_id ?? clusterId
}

async function readPlace(sql: Sql): Promise<InstallationRow> {
  const [row] = await sql<InstallationRow[]>`
    select
      pg_is_in_recovery() as standby, c.system_identifier::text, d.oid::text as database_oid,
      i.system_identifier as bound_system, i.database_oid as bound_oid, i.kafka_cluster_id as bound_cluster
    from pg_control_system() c
    join pg_database d on d.datname = current_database()
    left join outbox.installation i on true`
  return row as InstallationRow
}

async function bind(database: Database): Promise<Installation> {
  await database.run(
    'binding the outbox',
    sql => sql`
      insert into outbox.installation (system_identifier, database_oid)
      select c.system_identifier::text, d.oid::text
      from pg_control_system() c join pg_database d on d.datname = current_database()
      on conflict do nothing`,
  )
  return checkInstallation(database, { adopt: false, actor: '' })
}

/** The cluster is forgotten too: the next contact with Kafka binds it. */
async function rebind(database: Database, actor: string): Promise<Installation> {
  await database.run(
    'adopting the outbox',
    sql => sql`
      with former as (
        select * from outbox.installation for update
      ), bound as (
        update outbox.installation i
        set system_identifier = c.system_identifier::text, database_oid = d.oid::text, kafka_cluster_id = null,
            bound_at = clock_timestamp()
        from pg_control_system() c, pg_database d
        where d.datname = current_database()
        returning 1
      )
      insert into outbox.audit (actor, action, subject, rows)
      select ${actor}, 'adopt', to_jsonb(former) - 'only_row', (select count(*) from bound) from former`,
  )
  return checkInstallation(database, { adopt: false, actor })
}
