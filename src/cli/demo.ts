import { type Command, InvalidArgumentError } from 'commander'
import { type DemoOptions, runDemo } from '../demo/demo.ts'
import { relayCommand } from '../demo/relay-process.ts'
import { RunningParts } from '../demo/running-parts.ts'
import { Screen } from '../demo/screen.ts'
import { startParts } from '../embedded/parts.ts'
import { migrate } from '../migrate.ts'
import type { CliContext } from './context.ts'
import { EXIT_FORCED, EXIT_USAGE } from './exit-code.ts'

const SEED_MAX = 1_000_000
/** After the second Ctrl-C nobody waits longer than this for embedded parts to end. */
const LEAVE_MS = 5_000

interface Flags {
  readonly events?: number
  readonly rate?: number
  readonly exit?: boolean
  readonly keep?: boolean
  readonly seed?: number
}

export function register(program: Command, context: CliContext): void {
  program
    .command('demo')
    .description('a shop, the relay and a consumer on a real PostgreSQL and Kafka, with a verdict')
    .option('--events <n>', 'committed events to write (default: until Ctrl-C)', wholeNumber(1))
    .option(
      '--rate <n>',
      'events per second (default: 500, or with --events as fast as it goes)',
      positive,
    )
    .option('--exit', 'with --events: drain, give the verdict and end, unattended')
    .option('--keep', 'leave PostgreSQL and Kafka running and print their addresses')
    .option('--seed <n>', 'makes the same purchases again (default: a new one)', wholeNumber(0))
    .action(async (flags: Flags, command: Command) => {
      if (flags.exit && flags.events === undefined) {
        const message = 'error: --exit needs --events <n>: without it there is no end to wait for'
        command.error(message, { exitCode: EXIT_USAGE, code: 'commander.missingArgument' })
      }
      const code = await play(context, {
        events: flags.events,
        ratePerSecond: flags.rate,
        exit: flags.exit ?? false,
        keep: flags.keep ?? false,
        seed: flags.seed ?? Date.now() % SEED_MAX,
      })
      context.setExitCode(code)
    })
}

/** Runs the demo and ends what it started, whatever happens. */
async function play({ env, stdout }: CliContext, options: DemoOptions): Promise<number> {
  const screen = new Screen(stdout, env)
  const running = new RunningParts()
  const stop = new AbortController()
  let leaving: Promise<never> | undefined
  const onSignal = () => {
    if (!stop.signal.aborted) {
      screen.endProgress()
      screen.line('stopping: draining and verdict follow; again to leave at once')
      stop.abort()
      return
    }
    screen.close()
    leaving ??= running.killAll(LEAVE_MS).then(() => process.exit(EXIT_FORCED))
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const signal of signals) process.on(signal, onSignal)
  try {
    return await runDemo(options, {
      startParts: () =>
        startParts({ keep: options.keep, onProgress: text => screen.step(text), env }),
      migrate: databaseUrl => migrate({ databaseUrl }),
      relayCommand: relayCommand(),
      env,
      screen,
      running,
      stop: stop.signal,
    })
  } finally {
    // What is killed on the way out fails in many ways; none of them is worth a message.
    await leaving
    await running.stopAll()
    for (const signal of signals) process.off(signal, onSignal)
  }
}

function wholeNumber(min: number): (text: string) => number {
  return text => {
    const value = Number(text)
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min) return value
    throw new InvalidArgumentError(`give a whole number from ${min}`)
  }
}

function positive(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value) && value > 0) return value
  throw new InvalidArgumentError('give a number above 0')
}
