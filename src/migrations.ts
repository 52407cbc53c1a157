import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SluiceError } from './errors.ts'
import { bookkeepingSql, familyOf, MIGRATED, type MigrationName } from './migration-family.ts'

/** One file of a folder of `migrations`. */
export interface Migration {
  readonly number: number
  /** The file's name without its ending, such as `0001_outbox`. */
  readonly name: string
  readonly sql: string
  /** SHA-256 of the SQL in hex; line endings do not count. */
  readonly checksum: string
}

/** What the table `migrations` of a schema says of one that has been applied. */
export interface AppliedMigration {
  readonly number: number
  readonly name: string
  readonly checksum: string
}

/** Held by whoever migrates, until its transaction ends. */
export const MIGRATION_LOCK_SQL = `select pg_advisory_xact_lock(hashtextextended('sluice migrate', 0))`

const FILE_NAME = /^(\d{4})_[a-z0-9_]+\.sql$/

/**
 * The migrations of this build, in order; by default those of the outbox.
 * @throws SluiceError `schema` when the folder's files are not numbered 0001, 0002, …
 */
export function readMigrations(folder: string = familyOf('outbox').folder): Migration[] {
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
  schema = 'outbox',
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
      `${schema}.migrations holds migration ${last} but not ${gap.name}: insert the missing row if that migration was applied by hand`,
      { details: { migration: gap.name, last } },
    )
  }
  return known.slice(applied.length)
}

/**
 * Whole schemas as one SQL script for psql, for those who let nobody but a DBA change a schema. It records what it
 * applies, so that `migrate` afterwards finds the schemas up to date. Each migration is a transaction of its own.
 */
export function printMigrations(names: readonly MigrationName[] = ['outbox']): string {
  const scripts = MIGRATED.filter(name => names.includes(name)).map(printFamily)
  return scripts.join('\n')
}

function printFamily(name: MigrationName): string {
  const family = familyOf(name)
  const { schema, folder, needs } = family
  const migrations = readMigrations(folder)
  const scripts = migrations.map(
    ({ number, name, sql, checksum }) => `-- ${name}
begin;
set local lock_timeout = '5s';
${MIGRATION_LOCK_SQL};
${bookkeepingSql(family)}
${sql}
insert into ${schema}.migrations (number, name, checksum) values (${number}, '${name}', '${checksum}');
commit;
`,
  )
  const without =
    needs === null ? 'without it' : `that has the schema of the ${needs}, and not this one`
  const header = `-- Sluice: the schema of the ${name} up to migration ${migrations.length}.
-- Run it once on a database ${without}: psql -v ON_ERROR_STOP=1 -f this-file

`
  return header + scripts.join('\n')
}
