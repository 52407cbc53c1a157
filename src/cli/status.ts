import type { Command } from 'commander'
import type { CliContext } from './context.ts'
import { readStatus } from './status-facts.ts'
import { printStatus } from './status-table.ts'
import { jsonText } from './table.ts'

export function register(program: Command, context: CliContext): void {
  program
    .command('status')
    .description('show what waits, what failed and who works on it, from the database alone')
    .option('--json', 'print it as JSON')
    .action(async (flags: { json?: true }) => {
      const facts = await readStatus(context.loadOptions().databaseUrl)
      const text = flags.json ? jsonText(facts) : printStatus(facts)
      context.stdout.write(text)
    })
}
