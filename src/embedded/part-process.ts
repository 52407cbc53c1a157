import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'

export interface PartProcessOptions {
  /** Names the process in errors. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  /** Takes what the process writes; appended to. */
  readonly logFile: string
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
}

/** A signal and how long to wait for its effect. */
export interface EndStep {
  readonly signal: NodeJS.Signals
  readonly waitMs: number
}

const KILL: EndStep = { signal: 'SIGKILL', waitMs: 2_000 }
const TAIL_LINES_MAX = 15
const TAIL_CHARACTERS_MAX = 4_096

/** A child process that writes to a log file, and is ended by whoever started it. */
export class PartProcess {
  readonly #child: ChildProcess
  readonly #options: PartProcessOptions
  /** Settles with `exit code 1`, `SIGKILL` or a system code; never rejects. */
  readonly ended: Promise<string>
  #end: string | undefined

  private constructor(child: ChildProcess, options: PartProcessOptions) {
    this.#child = child
    this.#options = options
    this.ended = new Promise(settle => {
      const end = (how: string) => {
        this.#end ??= how
        settle(this.#end)
      }
      child.once('error', error => end((error as NodeJS.ErrnoException).code ?? error.message))
      child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`))
    })
  }

  static start(options: PartProcessOptions): PartProcess {
    const log = openSync(options.logFile, 'a')
    try {
      const child = spawn(options.command, options.args, {
        cwd: options.cwd,
        env: options.env,
        stdio: ['ignore', log, log],
        ...options.user,
      })
      return new PartProcess(child, options)
    } finally {
      closeSync(log)
    }
  }

  /** -1 when the process could not be started; `ended` tells why. */
  get pid(): number {
    return this.#child.pid ?? -1
  }

  /** How it ended, or undefined while it runs. */
  get end(): string | undefined {
    return this.#end
  }

  /** Sends one signal after the other until the process has ended, SIGKILL last. Never rejects. */
  async stop(steps: readonly EndStep[]): Promise<void> {
    for (const { signal, waitMs } of [...steps, KILL]) {
      if (this.#end !== undefined) return
      this.#child.kill(signal)
      await withDeadline(this.ended, waitMs, () => new Error('too slow')).catch(() => {})
    }
  }

  /** An error that ends with the last lines of the log. */
  failure(what: string): SluiceError {
    return new SluiceError(
      'lifecycle',
      `${this.#options.name} ${what}${lastLines(this.#options.logFile)}`,
    )
  }

  logged(pattern: RegExp): boolean {
    return pattern.test(readLog(this.#options.logFile))
  }
}

/**
 * Runs a process to its end.
 * @throws SluiceError `lifecycle` when it ends with anything but 0, or not in time, or `signal` is aborted
 */
export async function runToEnd(
  options: PartProcessOptions,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted()
  const child = PartProcess.start(options)
  const abort = () => void child.stop([{ signal: 'SIGTERM', waitMs: 2_000 }])
  signal.addEventListener('abort', abort, { once: true })
  try {
    const end = await withDeadline(child.ended, timeoutMs, () =>
      child.failure(`did not end in ${timeoutMs} ms`),
    )
    signal.throwIfAborted()
    if (end !== 'exit code 0') throw child.failure(`failed with ${end}`)
  } finally {
    signal.removeEventListener('abort', abort)
    await child.stop([])
  }
}

/** The end of a log file, set off for the end of a message; empty when there is nothing to show. */
export function lastLines(logFile: string): string {
  return tailOf(readLog(logFile))
}

/** `lastLines` of a text. */
export function tailOf(log: string): string {
  const text = log.slice(-TAIL_CHARACTERS_MAX).trimEnd()
  if (text === '') return ''
  const lines = text.split('\n').slice(-TAIL_LINES_MAX)
  return `. The last lines of its log:\n${lines.map(line => `  ${line}`).join('\n')}`
}

function readLog(logFile: string): string {
  try {
    return readFileSync(logFile, 'utf8')
  } catch {
    return ''
  }
}
