import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { pause } from '../src/internal/pause.ts'

export interface ServedProcessOptions {
  /** A program of node's, and its arguments. */
  readonly program: string
  readonly args?: readonly string[]
  readonly execArgv?: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** Is answered once it serves. */
  readonly probeUrl: string
  readonly logFile: string
}

const READY_MS = 30_000
const STOP_MS = 20_000
const POLL_MS = 50
const never = new AbortController().signal

/** A server in a process of its own, which ends with this one. */
export class ServedProcess {
  readonly #child: ChildProcess
  readonly #options: ServedProcessOptions

  private constructor(options: ServedProcessOptions) {
    const { program, args = [], execArgv = [], env, logFile } = options
    this.#options = options
    const log = openSync(logFile, 'a')
    const stdio = ['ignore', log, log, 'ipc'] as const
    this.#child = fork(program, args, { execArgv: [...execArgv], env, stdio: [...stdio] })
    closeSync(log)
    process.once('exit', this.#kill)
  }

  /** @throws when it ends, or takes too long, before it serves */
  static async start(options: ServedProcessOptions): Promise<ServedProcess> {
    const served = new ServedProcess(options)
    const untilMs = performance.now() + READY_MS
    while (!(await served.#answers())) {
      if (served.#ended || performance.now() > untilMs) {
        served.#kill()
        throw new Error(
          `it does not serve:\n${readFileSync(options.logFile, 'utf8').slice(-2_000)}`,
        )
      }
      await pause(POLL_MS, never)
    }
    return served
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async stop(): Promise<void> {
    process.off('exit', this.#kill)
    if (this.#ended) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    const timer = setTimeout(this.#kill, STOP_MS)
    await ended
    clearTimeout(timer)
  }

  get #ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  async #answers(): Promise<boolean> {
    try {
      const answer = await fetch(this.#options.probeUrl, { signal: AbortSignal.timeout(1_000) })
      await answer.arrayBuffer()
      return answer.ok
    } catch {
      return false
    }
  }

  readonly #kill = (): void => {
    this.#child.kill('SIGKILL')
  }
}
