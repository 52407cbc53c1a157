import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { packageRoot } from '../../src/internal/package-root.ts'
import { cleanup } from './cleanup.ts'
import type { Scope } from './parts.ts'
import { until } from './until.ts'

const START_DEADLINE_MS = 30_000
const LOG_CHARACTERS_MAX = 20_000

/** One `sluice run` in a process of its own. */
export class Replica {
  readonly #child: ChildProcess
  #log = ''

  constructor(env: NodeJS.ProcessEnv) {
    this.#child = spawn(process.execPath, [join(packageRoot(), 'bin', 'sluice'), 'run'], {
      env: { ...process.env, SLUICE_HTTP: '127.0.0.1:0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', text => {
        this.#log = (this.#log + text).slice(-LOG_CHARACTERS_MAX)
      })
    }
  }

  get log(): string {
    return this.#log
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  async ready(): Promise<this> {
    const started = async () => {
      if (this.ended) throw new Error(`the relay ended while starting:\n${this.#log}`)
      return this.#log.includes('relay started')
    }
    await until(started, { deadlineMs: START_DEADLINE_MS, what: 'the relay has started' })
    return this
  }

  /** Where its HTTP server listens. */
  get httpUrl(): string {
    const address = /"http":"([^"]+)"/.exec(this.#log)?.[1]
    return `http://${address}`
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** The exit code, or the name of the signal that ended it. */
  async end(signal: NodeJS.Signals): Promise<number | string> {
    if (!this.ended) {
      const exit = once(this.#child, 'exit')
      this.#child.kill(signal)
      await exit
    }
    return this.#child.exitCode ?? this.#child.signalCode ?? 'unknown'
  }
}

/** Starts a relay that is killed after the test, should it still run. */
export async function startReplica(t: Scope, env: NodeJS.ProcessEnv): Promise<Replica> {
  const replica = new Replica(env)
  cleanup(t, async () => {
    replica.signal('SIGCONT')
    await replica.end('SIGKILL')
  })
  return replica.ready()
}
