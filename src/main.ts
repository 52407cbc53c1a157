import { Command, CommanderError } from 'commander'
import * as admission from './cli/admission.ts'
import type { CliContext } from './cli/context.ts'
import * as dead from './cli/dead.ts'
import * as demo from './cli/demo.ts'
import * as doctor from './cli/doctor.ts'
import * as enqueue from './cli/enqueue.ts'
import { EXIT_USAGE, exitCodeOf } from './cli/exit-code.ts'
import * as inspect from './cli/inspect.ts'
import * as lanes from './cli/lanes.ts'
import * as migrate from './cli/migrate.ts'
import * as replay from './cli/replay.ts'
import * as run from './cli/run.ts'
import * as status from './cli/status.ts'
import * as tasks from './cli/tasks.ts'
import * as topics from './cli/topics.ts'
import { describeError } from './errors.ts'
import { packageVersion } from './internal/package-version.ts'
import { loadOptions } from './options.ts'

const { env, stdout, stderr } = process

/** How long a process may take to end once its command has. */
const LINGER_MS = 2_000

const program = new Command('sluice')
  .description('publishes the events of a PostgreSQL outbox to Kafka, in order')
  .version(packageVersion())
  .option('--config <file>', 'file of NAME=value lines; the environment wins over it')
  .exitOverride()

const context: CliContext = {
  env,
  stdout,
  stderr,
  loadOptions: (needs = ['database']) => {
    const { config } = program.opts<{ config?: string }>()
    return loadOptions(config === undefined ? env : { ...env, SLUICE_CONFIG: config }, {}, needs)
  },
  setExitCode: code => {
    process.exitCode = code
  },
}

const commands = [
  ...[migrate, run, demo, status, enqueue, doctor],
  ...[dead, replay, lanes, topics, tasks, inspect, admission],
]
for (const command of commands) command.register(program, context)

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = report(error)
}
// Something that was left open must not keep a process that has nothing to do any more.
setTimeout(() => {
  const open = process.getActiveResourcesInfo().join(', ')
  // After an error, a connection may still be on its way; the error has been told.
  if (!process.exitCode) stderr.write(`sluice: did not end by itself; still open: ${open}\n`)
  process.exit()
}, LINGER_MS).unref()

function report(error: unknown): number {
  // commander has already said what was wrong, or printed the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE
  const debug = env.SLUICE_LOG_LEVEL === 'debug' && error instanceof Error
  const text = debug ? String(error.stack) : describeError(error).replaceAll('\n', '\n        ')
  stderr.write(`sluice: ${text}\n`)
  return exitCodeOf(error)
}
