import { type ChildProcess, fork } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { packageRoot } from '../internal/package-root.ts'
import { cacheFolder } from './cache-folder.ts'
import type { FromHost, HostOrder, ToHost } from './host-message.ts'
import { openFolderForAll } from './open-folder.ts'
import { lastLines } from './part-process.ts'
import type { Parts } from './parts.ts'

/** Above the sum of the host's own deadlines: a download, a pull and a start, one after the other. */
const START_TIMEOUT_MS = 30 * 60_000
/** Above the time that the host gives both parts to end. */
const STOP_TIMEOUT_MS = 30_000
const DETACH_TIMEOUT_MS = 5_000

export interface HostedOptions {
  readonly way: HostOrder['way']
  readonly keep: boolean
  readonly env: NodeJS.ProcessEnv
  readonly onProgress: (text: string) => void
}

type Ready = Extract<FromHost, { type: 'ready' }>

/**
 * Parts that a host process owns. The host has a process group of its own, so that Ctrl-C in a terminal reaches the
 * caller's code first, and it ends the parts as soon as the channel to this process breaks: also after `kill -9`.
 */
export class HostedParts implements Parts {
  readonly kind: 'docker' | 'embedded'
  readonly databaseUrl: string
  readonly kafkaBrokers: string
  readonly #host: ChildProcess
  readonly #pids: readonly number[]
  #stopping: Promise<void> | undefined
  #detached: Promise<string[]> | undefined

  private constructor(host: ChildProcess, ready: Ready) {
    this.kind = ready.kind
    this.databaseUrl = ready.databaseUrl
    this.kafkaBrokers = ready.kafkaBrokers
    this.#host = host
    this.#pids = ready.pids
  }

  /** @throws SluiceError as the host says, or `lifecycle` when the host itself dies */
  static async start(options: HostedOptions): Promise<HostedParts> {
    const folder = await mkdtemp(join(await openFolderForAll(), 'sluice-parts-'))
    await chmod(folder, 0o711)
    const logFile = join(folder, 'host.log')
    const host = forkHost({ ...options, folder, logFile })
    try {
      const ready = await withDeadline(
        awaitReady(host, logFile, options.onProgress),
        START_TIMEOUT_MS,
        () => new SluiceError('lifecycle', `the parts did not start in ${START_TIMEOUT_MS} ms`),
      )
      holdProcess(host, false)
      return new HostedParts(host, ready)
    } catch (error) {
      host.kill('SIGTERM')
      await ended(host, STOP_TIMEOUT_MS)
      await rm(folder, { recursive: true, force: true })
      throw error
    }
  }

  stop(): Promise<void> {
    if (this.#detached) return Promise.resolve()
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  detach(): Promise<string[]> {
    if (this.#stopping) throw new SluiceError('lifecycle', 'the parts are stopped already')
    this.#detached ??= this.#detach()
    return this.#detached
  }

  async #stop(): Promise<void> {
    holdProcess(this.#host, true)
    tell(this.#host, { type: 'stop' })
    if (await ended(this.#host, STOP_TIMEOUT_MS)) return
    this.#host.kill('SIGKILL')
    for (const pid of this.#pids) killQuietly(pid)
    throw new SluiceError('lifecycle', `the parts did not end in ${STOP_TIMEOUT_MS} ms: killed`)
  }

  async #detach(): Promise<string[]> {
    holdProcess(this.#host, true)
    const answer = answerOf(this.#host, 'detached')
    tell(this.#host, { type: 'detach' })
    const { lines } = await withDeadline(
      answer,
      DETACH_TIMEOUT_MS,
      () => new SluiceError('lifecycle', 'the process that holds the parts does not answer'),
    )
    if (this.#host.connected) this.#host.disconnect()
    holdProcess(this.#host, false)
    return [...lines]
  }
}

function forkHost(options: HostedOptions & { folder: string; logFile: string }): ChildProcess {
  const compiled = import.meta.url.endsWith('.js')
  const file = new URL(compiled ? './host.js' : './host.ts', import.meta.url)
  const order: HostOrder = {
    way: options.way,
    keep: options.keep,
    folder: options.folder,
    cacheFolder: cacheFolder(options.env),
  }
  // A test runner's context would make the host report to it.
  const { NODE_TEST_CONTEXT: _, ...env } = options.env
  const log = openSync(options.logFile, 'a')
  try {
    return fork(fileURLToPath(file), [JSON.stringify(order)], {
      cwd: packageRoot(),
      detached: true,
      env: { ...env, TESTCONTAINERS_RYUK_DISABLED: 'true' },
      execArgv: compiled ? [] : ['--import', tsxUrl()],
      stdio: ['ignore', log, log, 'ipc'],
    })
  } finally {
    closeSync(log)
  }
}

function tsxUrl(): string {
  return pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
}

async function awaitReady(
  host: ChildProcess,
  logFile: string,
  onProgress: (text: string) => void,
): Promise<Ready> {
  return new Promise((settle, reject) => {
    host.on('message', (message: FromHost) => {
      if (message.type === 'progress') onProgress(message.text)
      if (message.type === 'ready') settle(message)
      if (message.type === 'failed') reject(new SluiceError(message.code, message.message))
    })
    host.once('error', cause =>
      reject(
        new SluiceError('lifecycle', 'the process that holds the parts cannot be started', {
          cause,
        }),
      ),
    )
    host.once('exit', (code, signal) => {
      const end = signal ?? `exit code ${code}`
      const text = `the process that holds the parts ended with ${end}${lastLines(logFile)}`
      reject(new SluiceError('lifecycle', text))
    })
  })
}

function answerOf(host: ChildProcess, type: 'detached') {
  return new Promise<Extract<FromHost, { type: 'detached' }>>((settle, reject) => {
    host.on('message', (message: FromHost) => {
      if (message.type === type) settle(message)
    })
    host.once('exit', () => reject(new SluiceError('lifecycle', 'the parts have ended already')))
  })
}

function tell(host: ChildProcess, message: ToHost): void {
  if (!host.connected) return
  // A failed send means that the host is going: its exit is awaited anyway.
  host.send(message, () => {})
}

/** Whether the host has ended within the time. */
async function ended(host: ChildProcess, timeoutMs: number): Promise<boolean> {
  if (host.exitCode !== null || host.signalCode !== null || host.pid === undefined) return true
  const exit = new Promise<boolean>(settle => host.once('exit', () => settle(true)))
  return withDeadline(exit, timeoutMs, () => new Error('too slow')).catch(() => false)
}

/** Whether the host keeps this process from ending by itself. */
function holdProcess(host: ChildProcess, hold: boolean): void {
  if (hold) {
    host.ref()
    host.channel?.ref()
  } else {
    host.unref()
    host.channel?.unref()
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}
