import type { Need, Options } from '../options.ts'

/** What a command may touch of the process. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
  /**
   * The options, with `--config` taken into account.
   * @param needs what the command cannot do without; by default the database alone
   * @throws SluiceError code `options`
   */
  loadOptions(needs?: readonly Need[]): Options
  /** The code the process ends with once its work is done. */
  setExitCode(code: number): void
}
