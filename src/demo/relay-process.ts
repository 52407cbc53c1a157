import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../embedded/free-port.ts'
import { SluiceError } from '../errors.ts'
import { packageRoot } from '../internal/package-root.ts'
import { pause } from '../internal/pause.ts'

export interface RelayProcessOptions {
  /** Program and arguments; `relayCommand()` is the one of this package. */
  readonly command: readonly string[]
  /** The relay's settings; its HTTP address is given by us. */
  readonly env: NodeJS.ProcessEnv
  /** Standard output and errors of the relay go there. */
  readonly logFile: string
}

const READY_POLL_MS = 50
const READY_ANSWER_MS = 1_000
const LOG_TAIL_LINES = 3

/** `sluice run` in a process of its own, as a user starts it. */
export class RelayProcess {
  readonly #child: ChildProcess
  readonly #logFile: string
  /** Base of the relay's HTTP address. */
  readonly httpUrl: string
  /** Resolves with a description when the process has ended, for whatever reason. Never rejects. */
  readonly ended: Promise<string>
  #end: string | null = null

  private constructor(child: ChildProcess, logFile: string, httpUrl: string) {
    this.#child = child
    this.#logFile = logFile
    this.httpUrl = httpUrl
    this.ended = new Promise(resolve => {
      const settle = (how: string) => {
        this.#end ??= how
        process.off('exit', this.#killGroup)
        resolve(this.#end)
      }
      child.once('error', error => settle(error.message))
      child.once('exit', (code, signal) =>
        settle(signal ? `signal ${signal}` : `exit code ${code}`),
      )
    })
    // The last resort for an owner that exits without stopping it.
    process.once('exit', this.#killGroup)
  }

  /** Starts the relay and returns at once; `ready` tells when it can be relied on. */
  static async launch(options: RelayProcessOptions): Promise<RelayProcess> {
    const address = `127.0.0.1:${await freePort()}`
    const log = openSync(options.logFile, 'a')
    const [program = process.execPath, ...args] = options.command
    // Its own process group: Ctrl-C in a terminal must reach its owner alone, who stops it in order.
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
      env: { ...options.env, SLUICE_HTTP: address },
    })
    closeSync(log)
    return new RelayProcess(child, options.logFile, `http://${address}`)
  }

  /**
   * Waits until the relay says that it is ready.
   * @throws SluiceError code `lifecycle`, with the end of the relay's log when it is not ready in time
   */
  async ready(withinMs: number, signal: AbortSignal): Promise<void> {
    const deadlineMs = performance.now() + withinMs
    while (!(await this.#saysReady())) {
      if (signal.aborted) throw new SluiceError('lifecycle', 'stopped while the relay was starting')
      const late = performance.now() > deadlineMs
      if (this.#end !== null || late) {
        const what = this.#end ? `ended (${this.#end})` : `is not ready after ${withinMs} ms`
        const where = `its log is ${this.#logFile} and ends with\n${this.logTail()}`
        throw new SluiceError('lifecycle', `the relay ${what}; ${where}`)
      }
      await pause(READY_POLL_MS, signal)
    }
  }

  get hasEnded(): boolean {
    return this.#end !== null
  }

  /** Process id; 0 when the process could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Asks it to drain and end; after `graceMs` it is killed. Resolves when it has ended. */
  async stop(graceMs: number): Promise<void> {
    if (this.#end !== null) return
    this.#child.kill('SIGTERM')
    const ended = new AbortController()
    const end = this.ended.then(() => ended.abort())
    await pause(graceMs, ended.signal)
    if (this.#end === null) this.kill()
    await end
  }

  kill(): void {
    if (this.#end === null) this.#killGroup()
  }

  /** The last lines of its log, for a message that explains its end. */
  logTail(): string {
    const lines = readFileSync(this.#logFile, 'utf8').trimEnd().split('\n')
    return lines.slice(-LOG_TAIL_LINES).join('\n')
  }

  readonly #killGroup = (): void => {
    if (this.pid === 0) return
    try {
      process.kill(-this.pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }

  async #saysReady(): Promise<boolean> {
    try {
      const signal = AbortSignal.timeout(READY_ANSWER_MS)
      const answer = await fetch(`${this.httpUrl}/readyz`, { signal })
      await answer.arrayBuffer()
      return answer.ok
    } catch {
      return false
    }
  }
}

/**
 * An environment that names these parts, whatever it named before, and keeps every other setting. A relay or
 * `loadOptions` can be given it.
 */
export function environmentOf(
  parts: { readonly databaseUrl: string; readonly kafkaBrokers: string },
  env: NodeJS.ProcessEnv,
): NodeJS.ProcessEnv {
  const { DATABASE_URL_FILE: _, KAFKA_BOOTSTRAP_SERVERS: __, ...rest } = env
  return { ...rest, DATABASE_URL: parts.databaseUrl, KAFKA_BROKERS: parts.kafkaBrokers }
}

/** `sluice run` of the package that this file belongs to, as program and arguments. */
export function relayCommand(): readonly string[] {
  return [process.execPath, join(packageRoot(), 'bin', 'sluice'), 'run']
}
