import type { Command } from 'commander'
import { Daemon } from '../daemon.ts'
import { printHelp } from '../options/print.ts'
import { describeOptions } from '../options.ts'
import { createLogger } from '../telemetry/logger.ts'
import type { CliContext } from './context.ts'
import { runService } from './run-service.ts'

export function register(program: Command, context: CliContext): void {
  program
    .command('run')
    .description('publish the events of the outbox until SIGTERM or SIGINT, then drain')
    .option('--print-config', 'print the options in effect as JSON, secrets masked, and end')
    .option(
      '--adopt',
      'publish from this database although its outbox belongs to another server or cluster',
    )
    .addHelpText('after', () => `\n${printHelp()}`)
    .action(async (flags: { printConfig?: true; adopt?: true }) => {
      const options = context.loadOptions(['database', 'kafka'])
      if (flags.printConfig) {
        context.stdout.write(`${JSON.stringify(describeOptions(options), null, 2)}\n`)
        return
      }
      const log = createLogger(options.logLevel)
      const daemon = new Daemon(options, { log, adopt: flags.adopt ?? false })
      await runService(daemon, { log, name: 'relay', graceMs: options.shutdownGraceMs })
    })
}
