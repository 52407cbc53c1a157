import { randomBytes } from 'node:crypto'
import { chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { PartProcess, runToEnd } from '../../../src/embedded/part-process.ts'
import { type PostgresBinaries, postgresBinaries } from '../../../src/embedded/postgres-binaries.ts'
import { awaitProbe, probePostgres } from '../../../src/embedded/readiness.ts'
import { type UserIds, unprivilegedUser } from '../../../src/embedded/unprivileged-user.ts'
import { withDeadline } from '../../../src/internal/deadline.ts'
import { pause } from '../../../src/internal/pause.ts'
import type { OwnParts } from './own-parts.ts'
import { childrenOf, signalAll } from './process-tree.ts'

const INITDB_TIMEOUT_MS = 60_000
const MEMORY_HELD = /pre-existing shared memory block/
const STARTS_MAX = 20
const STARTS_PAUSE_MS = 200
const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 20_000
const STOP_SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT', kill: 'SIGKILL' } as const

export type StopMode = keyof typeof STOP_SIGNALS
export type PostgresSettings = Readonly<Record<string, string>>

/** Programs and identity that a primary and its standbys share. */
export interface PostgresProgram {
  readonly parts: OwnParts
  readonly binaries: PostgresBinaries
  readonly user: UserIds | undefined
  readonly password: string
  /** Not the caller's: `PG…` variables would redirect the programs. */
  readonly env: NodeJS.ProcessEnv
}

export async function openProgram(parts: OwnParts): Promise<PostgresProgram> {
  const { context } = parts
  const user = await unprivilegedUser(context.env)
  return {
    parts,
    binaries: await postgresBinaries(context, user),
    user,
    password: randomBytes(16).toString('hex'),
    env: { PATH: context.env.PATH, LC_ALL: 'C' },
  }
}

/** A folder that PostgreSQL's user owns and nobody else may enter. */
export async function makeFolder(program: PostgresProgram, name: string): Promise<string> {
  const folder = join(program.parts.context.folder, name)
  await mkdir(folder, { mode: 0o700 })
  if (program.user) await chown(folder, program.user.uid, program.user.gid)
  return folder
}

/** A file that PostgreSQL's user owns and nobody else may read. */
export async function writeOwned(
  program: PostgresProgram,
  file: string,
  text: string,
): Promise<void> {
  await writeFile(file, text, { mode: 0o600 })
  if (program.user) await chown(file, program.user.uid, program.user.gid)
}

/** Fills `folder/data` with a new database cluster. */
export async function initialize(program: PostgresProgram, folder: string): Promise<void> {
  const { user, binaries, env, parts } = program
  const passwordFile = join(folder, 'password')
  await writeOwned(program, passwordFile, program.password)
  const args = ['-D', join(folder, 'data'), '-U', 'postgres', '--pwfile', passwordFile]
  // Small segments: a small disk has to hold a few.
  args.push('--auth=scram-sha-256', '-E', 'UTF8', '--locale=C', '--no-sync', '--wal-segsize=1')
  await runToEnd(
    {
      name: 'initdb',
      command: binaries.initdb,
      args,
      cwd: folder,
      env,
      logFile: join(folder, 'initdb.log'),
      user,
    },
    INITDB_TIMEOUT_MS,
    parts.context.signal,
  )
  await rm(passwordFile)
}

/** One postmaster with its children, on a port and data that stay. */
export class PostgresNode {
  readonly program: PostgresProgram
  readonly folder: string
  readonly port: number
  readonly #settings: PostgresSettings
  #process: PartProcess | undefined
  #starts = 0
  /** What is stopped by SIGSTOP. */
  #frozen: number[] = []

  /** @param folder holds `data` */
  constructor(
    program: PostgresProgram,
    options: { folder: string; port: number; settings: PostgresSettings },
  ) {
    this.program = program
    this.folder = options.folder
    this.port = options.port
    this.#settings = options.settings
  }

  /** Of the database `postgres`, as a superuser. */
  get url(): string {
    return `postgres://postgres:${this.program.password}@127.0.0.1:${this.port}/postgres`
  }

  get dataFolder(): string {
    return join(this.folder, 'data')
  }

  get running(): boolean {
    return this.#process !== undefined && this.#process.end === undefined
  }

  get frozen(): boolean {
    return this.#frozen.length > 0
  }

  async start(settings: PostgresSettings = {}): Promise<void> {
    if (this.running) return
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#launch(settings)
      } catch (error) {
        // A child that was forked while its siblings were being killed ends a moment later.
        const held = this.#process?.logged(MEMORY_HELD) ?? false
        if (!held || attempt === STARTS_MAX) throw error
        await pause(STARTS_PAUSE_MS, this.program.parts.context.signal)
      }
    }
  }

  async #launch(settings: PostgresSettings): Promise<void> {
    const { program, folder, port } = this
    const { guard, context } = program.parts
    const all = { ...FIXED, port: String(port), ...this.#settings, ...settings }
    const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const process = PartProcess.start({
      name: 'PostgreSQL',
      command: program.binaries.postgres,
      args: ['-D', this.dataFolder, ...args],
      cwd: folder,
      env: program.env,
      // Not in the data folder's disk, which may be full.
      logFile: join(context.folder, `postgres-${port}-${++this.#starts}.log`),
      user: program.user,
    })
    this.#process = process
    guard.watch(process.pid)
    void process.ended.then(() => guard.forget(process.pid))
    const { signal } = context
    const options = { part: process, timeoutMs: START_TIMEOUT_MS, signal }
    await awaitProbe(() => probePostgres(this.url), options)
  }

  async stop(mode: StopMode): Promise<void> {
    if (!this.#process || !this.running) return
    if (mode === 'kill') {
      // Children end by themselves once they notice, which a restart would have to wait for.
      signalAll(await childrenOf(this.#process.pid), 'SIGKILL')
    } else this.thaw()
    process.kill(this.#process.pid, STOP_SIGNALS[mode])
    const late = () => new Error(`PostgreSQL does not stop in ${STOP_TIMEOUT_MS} ms (${mode})`)
    await withDeadline(this.#process.ended, STOP_TIMEOUT_MS, late)
    this.#forgetFrozen()
  }

  async freeze(): Promise<void> {
    if (!this.#process || !this.running) throw new Error('PostgreSQL does not run')
    const { pid } = this.#process
    // First the one that could start more.
    process.kill(pid, 'SIGSTOP')
    const children = await childrenOf(pid)
    signalAll(children, 'SIGSTOP')
    this.#frozen = [pid, ...children]
    this.program.parts.guard.watch(...children)
  }

  thaw(): void {
    signalAll(this.#frozen, 'SIGCONT')
    this.#forgetFrozen()
  }

  /** Runs work on a connection past every proxy. */
  async ask<T>(work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
    const sql = postgres(this.url, {
      max: 1,
      connect_timeout: 5,
      // As in a campaign's stage: the server may go down while they are fetched, which nobody would hear.
      fetch_types: false,
      onnotice: () => {},
      connection: { application_name: 'sluice faults' },
    })
    try {
      return await work(sql)
    } finally {
      await sql.end({ timeout: 1 })
    }
  }

  #forgetFrozen(): void {
    const [, ...children] = this.#frozen
    this.program.parts.guard.forget(...children)
    this.#frozen = []
  }
}

const FIXED = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  shared_buffers: '32MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
}
