import type { Command } from 'commander'
import { migrate, printMigrations } from '../migrate.ts'
import type { CliContext } from './context.ts'

export function register(program: Command, context: CliContext): void {
  program
    .command('migrate')
    .description('create or update the schema "outbox" in DATABASE_URL')
    .option('--print', 'print the SQL for psql instead, without connecting')
    .action(async (options: { print?: true }) => {
      if (options.print) {
        context.stdout.write(printMigrations())
        return
      }
      const { databaseUrl } = context.loadOptions()
      const { applied, current } = await migrate({ databaseUrl })
      for (const name of applied) context.stdout.write(`applied ${name}\n`)
      context.stdout.write(`schema is up to date (migration ${current})\n`)
    })
}
