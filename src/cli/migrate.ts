import { Argument, type Command } from 'commander'
import { type MigrationName, migrate, printMigrations } from '../migrate.ts'
import { familyOf, MIGRATED } from '../migration-family.ts'
import type { CliContext } from './context.ts'

const SCHEMAS = new Argument('[schemas...]', 'what to create or update; "consumer" needs "outbox"')
  .choices(MIGRATED)
  .default(['outbox'], 'outbox')

export function register(program: Command, context: CliContext): void {
  program
    .command('migrate')
    .description('create or update the schemas of Sluice in DATABASE_URL')
    .addArgument(SCHEMAS)
    .option('--print', 'print the SQL for psql instead, without connecting')
    .action(async (given: readonly MigrationName[], options: { print?: true }) => {
      if (options.print) {
        context.stdout.write(printMigrations(given))
        return
      }
      const { databaseUrl } = context.loadOptions()
      const names = MIGRATED.filter(name => given.includes(name))
      for (const name of names) {
        const { applied, current } = await migrate({ databaseUrl, schemas: [name] })
        for (const name of applied) context.stdout.write(`applied ${name}\n`)
        const which = names.length === 1 && name === 'outbox' ? '' : ` ${familyOf(name).schema}`
        context.stdout.write(`schema${which} is up to date (migration ${current})\n`)
      }
    })
}
