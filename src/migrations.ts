import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SluiceError } from './errors.ts'
import { packageRoot } from './internal/package-root.ts'

/** One file of `migrations/outbox`. */
export interface Migration {
  readonly number: number
  /** The file's name without its ending, such as `0001_outbox`. */
  readonly name: string
  readonly sql: string
  /** SHA-256 of the SQL in hex; line endings do not count. */
  readonly checksum: string
}

/** What `outbox.migrations` says of one that has been applied. */
export interface AppliedMigration {
  readonly number: number
  readonly name: string
  readonly checksum: string
}

/** Where applied migrations are recorded. Run inside the transaction of the first one. */
export const BOOKKEEPING_SQL = `create schema if not exists outbox;
create table if not exists outbox.migrations (
  number     integer     primary key,
  name       text        not null,
  checksum   text        not null,
  applied_at timestamptz not null default now()
);
comment on table outbox.migrations is 'Which migrations of Sluice this schema has, with the SHA-256 of their SQL';
`

/** Held by whoever migrates, until its transaction ends. */
export const MIGRATION_LOCK_SQL = `select pg_advisory_xact_lock(hashtextextended('sluice migrate', 0))`

const FILE_NAME = /^(\d{4})_[a-z0-9_]+\.sql$/

/**
 * The migrations of this build, in order.
 * @throws SluiceError `schema` when the folder's files are not numbered 0001, 0002, …
 */
export function readMigrations(
  folder: string = join(packageRoot(), 'migrations', 'outbox'),
): Migration[] {
  const files = readdirSync(folder).filter(file => file.endsWith('.sql'))
  return files.sort().map((file, index) => {
    if (Number(FILE_NAME.exec(file)?.[1]) !== index + 1) {
      throw new SluiceError(
        'schema',
        `migration file ${file} stands at place ${index + 1}: files must be named NNNN_name.sql, numbered from 0001 without a gap`,
      )
    }
    return toMigration(file.slice(0, -'.sql'.length), readFileSync(join(folder, file), 'utf8'))
  })
}

/** @param name begins with the migration's number in four digits */
export function toMigration(name: string, text: string): Migration {
  const sql = text.replaceAll('\r\n', '\n')
  const checksum = createHash('sha256').update(sql).digest('hex')
  return { number: Number(name.slice(0, 4)), name, sql, checksum }
}

/**
 * What of `known` has yet to be applied, in order.
 * @throws SluiceError `schema` when the database holds what this build cannot have made
 */
export function missingOf(
  known: readonly Migration[],
  applied: readonly AppliedMigration[],
): Migration[] {
  const newest = known.at(-1)?.number ?? 0
  for (const { number, name, checksum } of applied) {
    const own = known.find(migration => migration.number === number)
    if (own === undefined) {
      throw new SluiceError(
        'schema',
        `the database holds migration ${name}, newer than this build of Sluice knows (${newest}): run a build at least as new as the schema`,
        { details: { migration: name, newest } },
      )
    }
    if (own.checksum !== checksum) {
      throw new SluiceError(
        'schema',
        `migration ${name} was applied with other contents than this build has in ${own.name}.sql: restore that file as it was released, and put changes into a new migration`,
        { details: { migration: name, applied: checksum, own: own.checksum } },
      )
    }
  }
  const last = Math.max(0, ...applied.map(({ number }) => number))
  const gap = known.find(({ number }) => number <= last && !applied.some(a => a.number === number))
  if (gap !== undefined) {
    throw new SluiceError(
      'schema',
      `outbox.migrations holds migration ${last} but not ${gap.name}: insert the missing row if that migration was applied by hand`,
      { details: { migration: gap.name, last } },
    )
  }
  return known.slice(applied.length)
}

/**
 * The whole schema as one SQL script for psql, for those who let nobody but a DBA change a schema. It records what it
 * applies, so that `migrate` afterwards finds the schema up to date. Each migration is a transaction of its own.
 */
export function printMigrations(): string {
  const migrations = readMigrations()
  const scripts = migrations.map(
    ({ number, name, sql, checksum }) => `-- ${name}
begin;
set local lock_timeout = '5s';
${MIGRATION_LOCK_SQL};
${BOOKKEEPING_SQL}
${sql}
insert into outbox.migrations (number, name, checksum) values (${number}, '${name}', '${checksum}');
commit;
`,
  )
  const header = `-- Sluice: the outbox's schema up to migration ${migrations.length}.
-- Run it once on a database without it: psql -v ON_ERROR_STOP=1 -f this-file

`
  return header + scripts.join('\n')
}
