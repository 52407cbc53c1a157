import { Writable } from 'node:stream'
import { Command, CommanderError } from 'commander'
import type { CliContext } from '../../src/cli/context.ts'
import { EXIT_USAGE, exitCodeOf } from '../../src/cli/exit-code.ts'
import { describeError } from '../../src/errors.ts'
import { loadOptions } from '../../src/options.ts'
import { kafkaBrokers } from './parts.ts'

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A command as the program registers it. */
export interface CommandModule {
  register(program: Command, context: CliContext): void
}

/**
 * Runs one command in this process as `sluice <arguments>` would, on the given database and the test run's Kafka.
 * @param env settings besides
 */
export async function runCommand(
  module: CommandModule,
  databaseUrl: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const [stdout, stderr] = [new Paper(), new Paper()]
  let code = 0
  const given = { DATABASE_URL: databaseUrl, KAFKA_BROKERS: kafkaBrokers().join(','), ...env }
  const context: CliContext = {
    env: given,
    stdout,
    stderr,
    loadOptions: (needs = ['database']) => loadOptions(given, {}, needs),
    setExitCode: set => {
      code = set
    },
  }
  const program = new Command('sluice').exitOverride().configureOutput({
    writeOut: text => void stdout.write(text),
    writeErr: text => void stderr.write(text),
  })
  module.register(program, context)
  try {
    await program.parseAsync([...args], { from: 'user' })
  } catch (error) {
    code = error instanceof CommanderError ? EXIT_USAGE : exitCodeOf(error)
    if (!(error instanceof CommanderError)) stderr.write(describeError(error))
  }
  return { code, stdout: stdout.text, stderr: stderr.text }
}

class Paper extends Writable {
  text = ''

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}
