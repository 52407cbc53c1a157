import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from '../../support/until.ts'
import type { AdmissionHistory } from './history.ts'

export interface DoorOptions {
  /** The folder that holds `bin/sluice`. */
  readonly root: string
  readonly env: NodeJS.ProcessEnv
  /** Of its HTTP server, as a URL. */
  readonly address: string
  readonly name: string
  readonly logFile: string
  readonly history: AdmissionHistory
}

const SERVES_DEADLINE_MS = 45_000
const ASK_MS = 1_000

/** One `sluice admission` of the campaign; its end is told to the history, once it has served. */
export class DoorProcess {
  readonly #child: ChildProcess
  readonly #options: DoorOptions
  /** Resolves with the exit code or the signal that ended it. */
  readonly ended: Promise<number | string>
  readonly name: string
  #asked: string | null = null
  #frozen = false
  #served = false

  constructor(options: DoorOptions) {
    this.#options = options
    const { root, env, logFile, name, history } = options
    this.name = name
    this.#child = spawn(process.execPath, [join(root, 'bin', 'sluice'), 'admission'], {
      env,
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    process.once('exit', this.#killAtExit)
    const log = createWriteStream(logFile, { flags: 'a' })
    this.#child.stderr?.pipe(log, { end: false })
    this.#child.stdout?.pipe(log, { end: false })
    this.ended = once(this.#child, 'exit').then(([code, signal]) => {
      process.off('exit', this.#killAtExit)
      log.end()
      const [asked, how] = [this.#asked, code ?? signal]
      if (this.#served)
        history.tell({ kind: 'door_exited', atMs: Date.now(), door: name, asked, how })
      return how
    })
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** SIGSTOPped. */
  get frozen(): boolean {
    return this.#frozen
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** @throws when it ends, or takes too long, before it serves */
  async serves(): Promise<this> {
    const { address, logFile } = this.#options
    const isServed = async () => {
      if (!this.running) return true
      return (await fetch(`${address}/livez`, { signal: AbortSignal.timeout(ASK_MS) })).ok
    }
    await until(isServed, { deadlineMs: SERVES_DEADLINE_MS, what: `${this.name} serves` })
    if (!this.running) {
      const said = (await readFile(logFile, 'utf8').catch(() => '')).trimEnd().split('\n').at(-1)
      throw new Error(`${this.name} ended while starting: ${said}; see ${logFile}`)
    }
    this.#served = true
    return this
  }

  /** Does not wait. */
  signal(signal: NodeJS.Signals): void {
    if (signal === 'SIGKILL' || signal === 'SIGTERM') this.#asked ??= signal
    if (signal === 'SIGSTOP') this.#frozen = true
    if (signal === 'SIGCONT') this.#frozen = false
    this.#child.kill(signal)
  }

  readonly #killAtExit = (): void => {
    this.#child.kill('SIGKILL')
  }
}
