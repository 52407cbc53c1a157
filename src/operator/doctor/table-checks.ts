import type { OutboxAccess } from '../outbox-access.ts'
import { attempt, type Finding, fail, ok, roughly, warn } from './finding.ts'

const TRANSACTION_SECONDS_MAX = 60
const WRITER_SECONDS_MAX = 10
/** Ten times what makes autovacuum start. */
const DEAD_ROWS_MAX = 200_000
const DAYS_AHEAD_MIN = 2

/** The outbox's tables: may the relay work on them, and is anything in the way of vacuum and its reading. */
export async function checkTables(
  outbox: OutboxAccess,
  keepsHistory: boolean,
): Promise<readonly Finding[]> {
  return [
    ...(await attempt('privileges', () => privileges(outbox))),
    ...(await attempt('sessions', () => sessions(outbox))),
    ...(await attempt('vacuum', () => vacuum(outbox))),
    ...(await attempt('partitions', () => partitionsAhead(outbox, keepsHistory))),
  ]
}

async function privileges(outbox: OutboxAccess): Promise<Finding> {
  const rows = await outbox.read(
    'looking at privileges',
    tx => tx<{ missing: string }[]>`
      select n.privilege || ' on ' || n.name as missing
      from (
        select 'outbox.' || t.name as name, unnest(string_to_array(t.privileges, ' ')) as privilege
        from (values
          ('events', 'select insert update delete'), ('published', 'select insert delete'),
          ('dead_letters', 'select insert'), ('lanes', 'select update'),
          ('replicas', 'select insert update delete'), ('breakers', 'select insert update delete'),
          ('pauses', 'select'), ('installation', 'select insert update'), ('migrations', 'select')
        ) as t (name, privileges)
      ) n
      where not has_table_privilege(n.name, n.privilege)
      union all
      select 'usage on schema outbox' where not has_schema_privilege('outbox', 'usage')
      union all
      select 'execute on outbox.keep_published'
      where not has_function_privilege('outbox.keep_published(interval, integer)', 'execute')
      union all
      select 'update on sequence outbox.asleep_until'
      where not has_sequence_privilege('outbox.asleep_until', 'update')`,
  )
  const [user] = await outbox.read(
    'asking for the role',
    tx => tx<{ name: string }[]>`select current_user::text as name`,
  )
  if (rows.length === 0) return ok('privileges', `${user?.name} has what a relay needs`)
  const missing = rows.map(row => row.missing).join(', ')
  return fail('privileges', `${user?.name} lacks ${missing}`, `grant them to ${user?.name}`)
}

/** A role sees only its own sessions, unless it may read those of all. */
async function sessions(outbox: OutboxAccess): Promise<Finding[]> {
  const [row] = await outbox.read(
    'asking what may be seen',
    tx => tx<{ all: boolean; name: string }[]>`
      select pg_has_role('pg_read_all_stats', 'usage') as all, current_user::text as name`,
  )
  if (!row?.all) {
    const found = `open transactions of other roles are not to be seen by ${row?.name}`
    return [warn('sessions', found, `grant pg_read_all_stats to ${row?.name}`)]
  }
  return [await oldestSnapshot(outbox), await oldestWriter(outbox)]
}

interface Holder {
  readonly who: string
  readonly seconds: number | null
}

/** Who keeps vacuum from removing dead rows: sessions, prepared transactions, replication slots. */
async function oldestSnapshot(outbox: OutboxAccess): Promise<Finding> {
  const [oldest] = await outbox.read(
    'looking for the oldest snapshot',
    tx => tx<Holder[]>`
      select h.who, h.seconds
      from (
        select 'session ' || pid || coalesce(' (' || application_name || ', ' || state || ')', '') as who,
          extract(epoch from now() - xact_start)::float8 as seconds, age(coalesce(backend_xmin, backend_xid)) as age
        from pg_stat_activity
        where coalesce(backend_xmin, backend_xid) is not null and pid <> pg_backend_pid()
          and (datname is null or datname = current_database())
        union all
        select 'prepared transaction ' || gid, extract(epoch from now() - prepared)::float8, age(transaction)
        from pg_prepared_xacts where database = current_database()
        union all
        select 'replication slot ' || slot_name, null, age(xmin)
        from pg_replication_slots where xmin is not null
      ) h
      order by h.seconds desc nulls last, h.age desc limit 1`,
  )
  if (!oldest) return ok('oldest snapshot', 'none is open')
  if (oldest.seconds === null || oldest.seconds <= TRANSACTION_SECONDS_MAX) {
    const since = oldest.seconds === null ? '' : `, open for ${roughly(oldest.seconds)}`
    return ok('oldest snapshot', `${oldest.who}${since}`)
  }
  return warn(
    'oldest snapshot',
    `${oldest.who} has been open for ${roughly(oldest.seconds)}: dead rows cannot be removed`,
    'end it (select pg_terminate_backend(pid)), and set idle_in_transaction_session_timeout',
  )
}

/** A transaction that has written events and stays open keeps the relay's reading from moving on. */
async function oldestWriter(outbox: OutboxAccess): Promise<Finding> {
  const [oldest] = await outbox.read(
    'looking for the oldest writer',
    tx => tx<Holder[]>`
      select coalesce('session ' || l.pid || coalesce(' (' || a.application_name || ', ' || a.state || ')', ''),
          'a prepared transaction') as who,
        extract(epoch from now() - a.xact_start)::float8 as seconds
      from pg_locks l left join pg_stat_activity a on a.pid = l.pid
      where l.locktype = 'relation' and l.relation = 'outbox.events'::regclass and l.mode = 'RowExclusiveLock'
        and l.granted and l.database = (select oid from pg_database where datname = current_database())
      order by seconds desc nulls first limit 1`,
  )
  if (!oldest) return ok('oldest writer', 'no open transaction has written events')
  if (oldest.seconds !== null && oldest.seconds <= WRITER_SECONDS_MAX) {
    return ok('oldest writer', `open for ${roughly(oldest.seconds)}`)
  }
  const since = oldest.seconds === null ? 'for a time not known' : `for ${roughly(oldest.seconds)}`
  return warn(
    'oldest writer',
    `${oldest.who} has written events and been open ${since}: the relay reads over what has gone since`,
    'let writers commit soon; end it if it hangs',
  )
}

async function vacuum(outbox: OutboxAccess): Promise<Finding> {
  const [row] = await outbox.read(
    'looking at vacuum',
    tx => tx<{ dead: number; vacuumed: number | null; off: boolean }[]>`
      select s.n_dead_tup::int as dead,
        extract(epoch from now() - greatest(s.last_autovacuum, s.last_vacuum))::float8 as vacuumed,
        not current_setting('autovacuum')::boolean
          or coalesce(c.reloptions @> array['autovacuum_enabled=false'], false) as off
      from pg_stat_user_tables s join pg_class c on c.oid = s.relid
      where s.relid = 'outbox.events'::regclass`,
  )
  if (row?.off) {
    const cure = 'turn autovacuum on: the outbox lives from it'
    return fail('vacuum', 'autovacuum is off for outbox.events', cure)
  }
  const { dead = 0, vacuumed = null } = row ?? {}
  const last = vacuumed === null ? 'never vacuumed' : `vacuumed ${roughly(vacuumed)} ago`
  const found = `${dead.toLocaleString('en')} dead rows in outbox.events, ${last}`
  return dead > DEAD_ROWS_MAX
    ? warn(
        'vacuum',
        found,
        'see "oldest snapshot"; else give autovacuum more workers or cost limit',
      )
    : ok('vacuum', found)
}

async function partitionsAhead(outbox: OutboxAccess, keepsHistory: boolean): Promise<Finding> {
  if (!keepsHistory) return ok('partitions', 'no history is kept (SLUICE_RETENTION is 0)')
  const [row] = await outbox.read(
    'looking at the partitions of outbox.published',
    tx => tx<{ ahead: number; unsorted: boolean }[]>`
      select count(*) filter (
          where c.relname ~ '^published_[0-9]{8}$'
            and right(c.relname, 8) > to_char(now() at time zone 'utc', 'YYYYMMDD')
        )::int as ahead,
        exists (select from outbox.published_default) as unsorted
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = 'outbox.published'::regclass`,
  )
  const found = `${row?.ahead ?? 0} days ahead${row?.unsorted ? ', and rows in the default partition' : ''}`
  return (row?.ahead ?? 0) < DAYS_AHEAD_MIN
    ? warn(
        'partitions',
        found,
        "a relay makes them; by hand: select outbox.keep_published('7 days')",
      )
    : ok('partitions', found)
}
