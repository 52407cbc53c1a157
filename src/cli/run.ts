import type { Command } from 'commander'
import { Daemon } from '../daemon.ts'
import { printHelp } from '../options/print.ts'
import { describeOptions, type Options } from '../options.ts'
import type { Log } from '../telemetry/log.ts'
import { createLogger } from '../telemetry/logger.ts'
import type { CliContext } from './context.ts'
import { EXIT_FORCED } from './exit-code.ts'

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
      await runDaemon(options, createLogger(options.logLevel), flags.adopt ?? false)
    })
}

/**
 * Runs until a signal asks for the end or a part dies. The first signal drains; the second leaves at once, and
 * what was in flight may then be published again by another replica.
 * @throws what the daemon died of, once everything has stopped
 */
async function runDaemon(options: Options, log: Log, adopt: boolean): Promise<void> {
  const daemon = new Daemon(options, { log, adopt })
  const asked = new AbortController()
  const onSignal = (signal: NodeJS.Signals) => {
    if (asked.signal.aborted) {
      log.warn({ signal }, 'second signal: leaving at once')
      process.exit(EXIT_FORCED)
    }
    log.info({ signal, graceMs: options.shutdownGraceMs }, 'stopping')
    asked.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  // Started with a channel to its parent, as by the demo: when the parent dies, nobody else would end it.
  process.once('disconnect', () => asked.abort())
  process.channel?.unref()
  try {
    await untilEnd(daemon, asked.signal)
  } catch (error) {
    log.error({ err: error }, 'relay failed')
    throw error
  } finally {
    await daemon.stop()
    log.info({}, 'stopped')
  }
}

/** Resolves once the end is asked for; rejects when the daemon cannot start, or dies. */
async function untilEnd(daemon: Daemon, asked: AbortSignal): Promise<void> {
  const ended = new Promise<void>(resolve => {
    asked.addEventListener('abort', () => resolve(), { once: true })
  })
  try {
    // A start may wait long for its database; a signal must not wait for it.
    await Promise.race([daemon.start(), ended.then(() => daemon.stop())])
    if (!asked.aborted) await Promise.race([daemon.completed, ended])
  } catch (error) {
    if (!asked.aborted) throw error
  }
}
