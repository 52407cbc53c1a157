import type { Options } from '../../options.ts'
import type { OutboxAccess } from '../outbox-access.ts'
import { attempt, type Finding, fail, ok, warn } from './finding.ts'

const CONNECTIONS_LEFT_MIN = 10
const CLOCK_DIFFERENCE_SECONDS_MAX = 2

/** The server itself: may it be written to, does it keep what it commits, has it room for us. */
export async function checkServer(
  outbox: OutboxAccess,
  { doorbell }: Pick<Options, 'doorbell'>,
): Promise<readonly Finding[]> {
  return [
    ...(await attempt('primary', () => primary(outbox))),
    ...(await attempt('durability', () => durability(outbox))),
    ...(await attempt('doorbell', () => twoPhase(outbox, doorbell))),
    ...(await attempt('connections', () => connections(outbox))),
    ...(await attempt('clock', () => clock(outbox))),
  ]
}

async function primary(outbox: OutboxAccess): Promise<Finding> {
  const [row] = await outbox.read(
    'asking for the role of the server',
    tx => tx<{ standby: boolean; read_only: boolean }[]>`
      select pg_is_in_recovery() as standby, current_setting('default_transaction_read_only')::boolean as read_only`,
  )
  if (row?.standby) {
    return fail('primary', 'the server is a standby', 'point DATABASE_URL at the primary')
  }
  if (row?.read_only) {
    const cure = 'set default_transaction_read_only to off for this role and database'
    return fail('primary', 'transactions are read-only by default', cure)
  }
  return ok('primary', 'the server is a primary')
}

async function durability(outbox: OutboxAccess): Promise<Finding> {
  const [row] = await outbox.read(
    'asking how durable commits are',
    tx => tx<{ commit: string; fsync: boolean }[]>`
      select current_setting('synchronous_commit') as commit, current_setting('fsync')::boolean as fsync`,
  )
  if (row?.fsync === false) {
    const cure = 'turn fsync on, unless this server is for tests'
    return warn('durability', 'fsync is off: a crash of the machine loses or damages data', cure)
  }
  if (row?.commit === 'off') {
    const cure = 'turn synchronous_commit on for those who write events'
    return warn(
      'durability',
      'synchronous_commit is off: events wait for the log to be flushed',
      cure,
    )
  }
  return ok('durability', `synchronous_commit is ${row?.commit}`)
}

/** A transaction in which the doorbell has rung cannot be prepared. */
async function twoPhase(outbox: OutboxAccess, doorbell: Options['doorbell']): Promise<Finding> {
  const [row] = await outbox.read(
    'asking for two-phase commit',
    tx => tx<{ prepared_max: number }[]>`
      select current_setting('max_prepared_transactions')::int as prepared_max`,
  )
  const preparedMax = row?.prepared_max ?? 0
  if (preparedMax === 0) return ok('doorbell', `${doorbell}; the server has no two-phase commit`)
  const found = `SLUICE_DOORBELL is ${doorbell}, and max_prepared_transactions is ${preparedMax}`
  if (doorbell !== 'on') return ok('doorbell', `${found}: nothing rings`)
  const cure = 'if writers use PREPARE TRANSACTION, which would fail, set SLUICE_DOORBELL=off'
  return warn('doorbell', found, cure)
}

async function connections(outbox: OutboxAccess): Promise<Finding> {
  const [row] = await outbox.read(
    'counting connections',
    tx => tx<{ used: number; max: number }[]>`
      select (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as used,
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as max`,
  )
  const { used = 0, max = 0 } = row ?? {}
  const found = `${used} of ${max} in use`
  return max - used < CONNECTIONS_LEFT_MIN
    ? warn('connections', found, 'raise max_connections, or put a pooler before the applications')
    : ok('connections', found)
}

async function clock(outbox: OutboxAccess): Promise<Finding> {
  const [row] = await outbox.read('reading the clock', tx => {
    const askedMs = Date.now()
    return tx<{ ahead: number }[]>`
      select extract(epoch from clock_timestamp())::float8 - ${askedMs / 1_000}::float8 as ahead`
  })
  const ahead = row?.ahead ?? 0
  const found = `the database is ${Math.abs(ahead).toFixed(1)} s ${ahead < 0 ? 'behind' : 'ahead of'} this machine`
  // Sluice itself goes by the database's clock alone; logs and consumers do not.
  return Math.abs(ahead) > CLOCK_DIFFERENCE_SECONDS_MAX
    ? warn('clock', found, 'have both follow the same time servers')
    : ok('clock', found)
}
