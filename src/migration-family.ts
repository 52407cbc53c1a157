import { join } from 'node:path'
import { packageRoot } from './internal/package-root.ts'

/** What can be migrated by itself, each needing those before it. In the order in which they are made. */
export const MIGRATED = ['outbox', 'consumer', 'admission'] as const

export type MigrationName = (typeof MIGRATED)[number]

/** Migrations that are numbered and recorded together. */
export interface MigrationFamily {
  readonly name: MigrationName
  /** In PostgreSQL; its table `migrations` records what has been applied. */
  readonly schema: string
  readonly folder: string
  /** Must be up to date before. */
  readonly needs: MigrationName | null
}

const PLACES: Readonly<Record<MigrationName, Pick<MigrationFamily, 'schema' | 'needs'>>> = {
  outbox: { schema: 'outbox', needs: null },
  consumer: { schema: 'waiting_room', needs: 'outbox' },
  admission: { schema: 'admission', needs: 'consumer' },
}

export function familyOf(name: MigrationName): MigrationFamily {
  const folder = join(packageRoot(), 'migrations', name)
  return { name, folder, ...PLACES[name] }
}

/** Where applied migrations are recorded. Run inside the transaction of the first one. */
export function bookkeepingSql({ schema }: Pick<MigrationFamily, 'schema'>): string {
  return `create schema if not exists ${schema};
create table if not exists ${schema}.migrations (
  number     integer     primary key,
  name       text        not null,
  checksum   text        not null,
  applied_at timestamptz not null default now()
);
comment on table ${schema}.migrations is 'Which migrations of Sluice this schema has, with the SHA-256 of their SQL';
`
}
