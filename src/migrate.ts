import type postgres from 'postgres'
import { SluiceError } from './errors.ts'
import { withDeadline } from './internal/deadline.ts'
import {
  bookkeepingSql,
  familyOf,
  MIGRATED,
  type MigrationFamily,
  type MigrationName,
} from './migration-family.ts'
import {
  type AppliedMigration,
  MIGRATION_LOCK_SQL,
  type Migration,
  missingOf,
  readMigrations,
} from './migrations.ts'
import { type Sql, withConnection } from './postgres/short-connection.ts'
import type { Log } from './telemetry/log.ts'

export { printMigrations } from './migrations.ts'
export type { MigrationName }

/** What a client of postgres.js and its transactions have in common. */
type Queries = postgres.ISql<Record<string, unknown>>

export interface MigrateSettings {
  /** One line per applied migration. Default: silent. */
  readonly log?: Log
  /**
   * How long a migration may wait for a lock on a table, and so make writers queue behind it. Past it the migration is
   * rolled back and may be run again. Default 5,000.
   */
  readonly lockTimeoutMs?: number
}

interface Wanted {
  /** What is brought up to date; `consumer` needs `outbox`. In whatever order. Default: `outbox`. */
  readonly schemas?: readonly MigrationName[]
}

/** Either a URL, for a connection of its own, or the caller's postgres.js client, which stays open. */
export type MigrateOptions = MigrateSettings &
  Wanted &
  ({ readonly databaseUrl: string } | { readonly sql: Sql })

export interface Migrated {
  /** Names of the migrations applied by this call, in order. */
  readonly applied: readonly string[]
  /** Number of the newest migration that the schema has now; of `consumer`, if that was among them. */
  readonly current: number
}

const LOCK_TIMEOUT_MS = 5_000
/** How long to wait for another migrator. It blocks nobody, so it may be long. */
const OTHER_MIGRATOR_TIMEOUT_MS = 60_000
/** One statement of a migration, such as an index on a large table. */
const STATEMENT_TIMEOUT_MS = 600_000
const READ_TIMEOUT_MS = 10_000
/** How much longer than the server we wait: past it the connection itself must be dead. */
const ANSWER_MARGIN_MS = 5_000
const LOCK_NOT_AVAILABLE = '55P03'

/**
 * Brings the schemas up to what this build knows: each missing migration in a transaction of its own, in
 * number order. Safe to run by many at once, and through a transaction pooler: the lock lives as long as the
 * transaction. Changes nothing, and takes no lock, when nothing is missing.
 *
 * @throws SluiceError `schema`: the database is newer than this build, a migration was altered, or one schema needs
 *   another that is not up to date; `options`: no such schema;
 *   `database`: not reachable, a lock not had in time (retryable), or a migration failed and was rolled back
 */
export async function migrate(options: MigrateOptions): Promise<Migrated> {
  const families = wanted(options.schemas ?? ['outbox'])
  if ('sql' in options) return migrateFamilies(options.sql, families, options)
  return withConnection(options.databaseUrl, 'sluice migrate', sql =>
    migrateFamilies(sql, families, options),
  )
}

/**
 * Names of the migrations that the schema lacks, in order; empty when it is up to date. One cheap read.
 * @throws SluiceError as `migrate` does
 */
export async function pendingMigrations(
  sql: Sql,
  name: MigrationName = 'outbox',
): Promise<string[]> {
  const family = familyOf(name)
  const missing = await readMissing(sql, readMigrations(family.folder), family)
  return missing.map(({ name }) => name)
}

function wanted(names: readonly MigrationName[]): MigrationFamily[] {
  const stranger = names.find(name => !MIGRATED.includes(name))
  if (names.length > 0 && stranger === undefined) {
    return MIGRATED.filter(name => names.includes(name)).map(familyOf)
  }
  const given = stranger === undefined ? 'is empty' : `holds ${JSON.stringify(stranger)}`
  throw new SluiceError('options', `schemas ${given}: it may hold ${MIGRATED.join(' and ')}`)
}

async function migrateFamilies(
  sql: Sql,
  families: readonly MigrationFamily[],
  settings: MigrateSettings,
): Promise<Migrated> {
  const applied: string[] = []
  let current = 0
  for (const family of families) {
    await requireNeeded(sql, family)
    const done = await applyMigrations(sql, readMigrations(family.folder), settings, family)
    applied.push(...done.applied)
    current = done.current
  }
  return { applied, current }
}

async function requireNeeded(sql: Sql, { name, needs }: MigrationFamily): Promise<void> {
  if (needs === null) return
  const pending = await pendingMigrations(sql, needs)
  if (pending.length === 0) return
  throw new SluiceError(
    'schema',
    `the schema of the ${name} needs that of the ${needs}, which lacks ${pending.join(', ')}; ` +
      `run: sluice migrate ${needs} ${name}`,
    { details: { pending } },
  )
}

/** `migrate` for a given list. */
export async function applyMigrations(
  sql: Sql,
  migrations: readonly Migration[],
  { log, lockTimeoutMs = LOCK_TIMEOUT_MS }: MigrateSettings = {},
  family: MigrationFamily = familyOf('outbox'),
): Promise<Migrated> {
  if (!Number.isInteger(lockTimeoutMs) || lockTimeoutMs < 1) {
    throw new SluiceError('options', 'lockTimeoutMs must be a whole number of milliseconds above 0')
  }
  const applied: string[] = []
  const missing = await readMissing(sql, migrations, family)
  while (applied.length < missing.length) {
    const name = await applyNext(sql, migrations, { lockTimeoutMs, family })
    if (name === undefined) break // another migrator did the rest meanwhile
    applied.push(name)
    log?.info({ migration: name }, 'migration applied')
  }
  return { applied, current: migrations.at(-1)?.number ?? 0 }
}

async function readMissing(
  sql: Sql,
  migrations: readonly Migration[],
  family: MigrationFamily,
): Promise<Migration[]> {
  const { schema } = family
  const reading = readApplied(sql, family)
  const applied = await answered(`reading ${schema}.migrations`, READ_TIMEOUT_MS, reading)
  return missingOf(migrations, applied, schema)
}

async function readApplied(sql: Queries, { schema }: MigrationFamily): Promise<AppliedMigration[]> {
  // Not to_regclass(): it answers from the session's cache, which may still say no after the lock was waited for
  // while another migrator made the table.
  const [table] = await sql`
    select exists (
      select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where n.nspname = ${schema} and c.relname = 'migrations'
    ) as present`
  if (!table?.present) return []
  return sql<AppliedMigration[]>`
    select number, name, checksum from ${sql(schema)}.migrations order by number`
}

/** @returns the name of the migration applied; undefined when none is missing any more */
async function applyNext(
  sql: Sql,
  migrations: readonly Migration[],
  { lockTimeoutMs, family }: { readonly lockTimeoutMs: number; readonly family: MigrationFamily },
): Promise<string | undefined> {
  // Read committed: what is missing must be read after the lock was had, not from a snapshot taken before it.
  const work = sql.begin('isolation level read committed read write', async tx => {
    await setTimeouts(tx, OTHER_MIGRATOR_TIMEOUT_MS)
    await tx.unsafe(MIGRATION_LOCK_SQL)
    await setTimeouts(tx, lockTimeoutMs)
    const [next] = missingOf(migrations, await readApplied(tx, family), family.schema)
    if (next === undefined) return undefined
    await applyOne(tx, family, next)
    return next.name
  })
  const deadlineMs = OTHER_MIGRATOR_TIMEOUT_MS + STATEMENT_TIMEOUT_MS
  return answered('migrating', deadlineMs, work)
}

async function setTimeouts(tx: Queries, lockTimeoutMs: number): Promise<void> {
  await tx`
    select set_config('lock_timeout', ${`${lockTimeoutMs}ms`}, true),
      set_config('statement_timeout', ${`${STATEMENT_TIMEOUT_MS}ms`}, true)`
}

async function applyOne(
  tx: Queries,
  family: MigrationFamily,
  { number, name, sql, checksum }: Migration,
): Promise<void> {
  try {
    await tx.unsafe(bookkeepingSql(family))
    await tx.unsafe(sql)
    await tx`
      insert into ${tx(family.schema)}.migrations (number, name, checksum) values (${number}, ${name}, ${checksum})`
  } catch (cause) {
    const message = `migration ${name} failed and was rolled back`
    const isLock = codeOf(cause) === LOCK_NOT_AVAILABLE
    throw new SluiceError(
      'database',
      isLock ? `${message}: a table it needs was locked for too long, run it again` : message,
      { cause, retryable: isLock, details: { migration: name } },
    )
  }
}

async function answered<T>(what: string, durationMs: number, work: Promise<T>): Promise<T> {
  const answerMs = durationMs + ANSWER_MARGIN_MS
  try {
    return await withDeadline(
      work,
      answerMs,
      () => new Error(`no answer from PostgreSQL within ${answerMs} ms`),
    )
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    if (codeOf(cause) === LOCK_NOT_AVAILABLE) {
      throw new SluiceError(
        'database',
        `another migrator has been at work for ${OTHER_MIGRATOR_TIMEOUT_MS} ms: run this again once it has finished`,
        { cause, retryable: true },
      )
    }
    throw new SluiceError('database', `${what} failed`, { cause, retryable: true })
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code
}
