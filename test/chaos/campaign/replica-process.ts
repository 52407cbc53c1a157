import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withDeadline } from '../../../src/internal/deadline.ts'
import type { HistoryFile } from './history.ts'

export interface ReplicaOptions {
  /** The folder that holds `bin/sluice`. */
  readonly root: string
  readonly env: NodeJS.ProcessEnv
  readonly logFile: string
  readonly history: Pick<HistoryFile, 'tell'>
}

const READY_DEADLINE_MS = 45_000
const PAGE_BYTES = 4_096
const STARTED = /"replica":"([^"]+)".*"relay started"/

/** One `sluice run` of the campaign; its start and its end are told to the history. */
export class ReplicaProcess {
  readonly #child: ChildProcess
  readonly #options: ReplicaOptions
  readonly #startedAtMs = Date.now()
  /** Resolves with the exit code or the signal that ended it. */
  readonly ended: Promise<number | string>
  readonly #ready: Promise<string>
  #asked: { readonly signal: string; readonly atMs: number } | null = null
  #isReady = false
  /** Its name in the database; `pid …` until it is ready. */
  name: string

  constructor(options: ReplicaOptions) {
    this.#options = options
    const { root, env, logFile } = options
    this.#child = spawn(process.execPath, [join(root, 'bin', 'sluice'), 'run'], {
      env,
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.name = `pid ${this.#child.pid}`
    process.once('exit', this.#killAtExit)
    const log = createWriteStream(logFile, { flags: 'a' })
    this.#child.stderr?.pipe(log, { end: false })
    this.#child.stdout?.pipe(log, { end: false })
    this.#ready = new Promise(settle => {
      this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        const name = STARTED.exec(text)?.[1]
        if (name !== undefined) settle(name)
      })
    })
    this.ended = once(this.#child, 'exit').then(([code, signal]) => {
      process.off('exit', this.#killAtExit)
      log.end()
      this.#tellExit(code ?? signal)
      return code ?? signal
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get isReady(): boolean {
    return this.running && this.#isReady
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** @throws when it ends, or takes too long, before it works */
  async ready(): Promise<this> {
    const early = this.ended.then(how => {
      throw new Error(`a replica ended with ${how} while starting; see ${this.#options.logFile}`)
    })
    early.catch(() => {})
    this.name = await withDeadline(Promise.race([this.#ready, early]), READY_DEADLINE_MS, () => {
      return new Error(`a replica was not ready within ${READY_DEADLINE_MS} ms`)
    })
    this.#isReady = true
    const atMs = Date.now()
    const startMs = atMs - this.#startedAtMs
    const { name: replica, pid } = this
    this.#options.history.tell({ kind: 'replica_ready', atMs, replica, pid, startMs })
    return this
  }

  /** Does not wait. SIGKILL and SIGTERM count as asked for an end. */
  signal(signal: NodeJS.Signals): void {
    if (signal === 'SIGKILL' || signal === 'SIGTERM') this.#asked = { signal, atMs: Date.now() }
    this.#child.kill(signal)
  }

  /** Resident bytes; 0 once it has ended. */
  async rssBytes(): Promise<number> {
    const text = await readFile(`/proc/${this.pid}/statm`, 'utf8').catch(() => '')
    return Number(text.split(' ')[1] ?? 0) * PAGE_BYTES
  }

  #tellExit(how: number | string): void {
    this.#options.history.tell({
      kind: 'replica_exited',
      atMs: Date.now(),
      replica: this.name,
      asked: this.#asked?.signal ?? null,
      askedAtMs: this.#asked?.atMs ?? null,
      how,
    })
  }

  readonly #killAtExit = (): void => {
    this.#child.kill('SIGKILL')
  }
}
