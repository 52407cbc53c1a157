import { randomBytes } from 'node:crypto'
import { chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, PORT_ATTEMPTS_MAX, PORT_TAKEN } from './free-port.ts'
import { PartProcess, runToEnd } from './part-process.ts'
import { type PostgresBinaries, postgresBinaries } from './postgres-binaries.ts'
import { awaitProbe, probePostgres } from './readiness.ts'
import type { StartContext, StartedPart } from './started.ts'
import { type UserIds, unprivilegedUser } from './unprivileged-user.ts'

const INITDB_TIMEOUT_MS = 60_000
const START_TIMEOUT_MS = 60_000
/** Fast shutdown, then immediate: the data are thrown away. */
const END_STEPS = [
  { signal: 'SIGINT', waitMs: 5_000 },
  { signal: 'SIGQUIT', waitMs: 3_000 },
] as const

interface Cluster {
  readonly binaries: PostgresBinaries
  readonly folder: string
  readonly password: string
  readonly user: UserIds | undefined
  /** Not the caller's: `PG…` variables would redirect the programs. */
  readonly env: NodeJS.ProcessEnv
}

/** A new PostgreSQL on 127.0.0.1, with its data in the context's folder. */
export async function startEmbeddedPostgres(context: StartContext): Promise<StartedPart> {
  const user = await unprivilegedUser(context.env)
  const cluster: Cluster = {
    binaries: await postgresBinaries(context, user),
    folder: join(context.folder, 'postgres'),
    password: randomBytes(16).toString('hex'),
    user,
    env: { PATH: context.env.PATH, LC_ALL: 'C' },
  }
  await initialize(cluster, context.signal)
  for (let attempt = 1; ; attempt++) {
    const part = await startOn(await freePort(), cluster, context.signal, attempt)
    if (part) return part
  }
}

async function initialize(cluster: Cluster, signal: AbortSignal): Promise<void> {
  const { folder, user } = cluster
  const passwordFile = join(folder, 'password')
  await mkdir(folder, { mode: 0o700 })
  await writeFile(passwordFile, cluster.password, { mode: 0o600 })
  if (user) {
    await chown(folder, user.uid, user.gid)
    await chown(passwordFile, user.uid, user.gid)
  }
  const args = ['-D', join(folder, 'data'), '-U', 'postgres', '--pwfile', passwordFile]
  args.push('--auth=scram-sha-256', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions')
  await runToEnd(
    {
      name: 'initdb of the embedded PostgreSQL',
      command: cluster.binaries.initdb,
      args,
      cwd: folder,
      env: cluster.env,
      logFile: join(folder, 'initdb.log'),
      user,
    },
    INITDB_TIMEOUT_MS,
    signal,
  )
  await rm(passwordFile)
}

/** Undefined when another process took the port in the meantime and there are attempts left. */
async function startOn(
  port: number,
  cluster: Cluster,
  signal: AbortSignal,
  attempt: number,
): Promise<StartedPart | undefined> {
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    max_connections: '200',
    timezone: 'UTC',
    log_timezone: 'UTC',
  }
  const process = PartProcess.start({
    name: 'the embedded PostgreSQL',
    command: cluster.binaries.postgres,
    args: [
      '-D',
      join(cluster.folder, 'data'),
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    cwd: cluster.folder,
    env: cluster.env,
    logFile: join(cluster.folder, `postgres-${attempt}.log`),
    user: cluster.user,
  })
  const address = `postgres://postgres:${cluster.password}@127.0.0.1:${port}/postgres`
  try {
    const options = { part: process, timeoutMs: START_TIMEOUT_MS, signal }
    await awaitProbe(() => probePostgres(address), options)
    return { address, pid: process.pid, ended: process.ended, stop: () => process.stop(END_STEPS) }
  } catch (error) {
    await process.stop(END_STEPS)
    if (attempt < PORT_ATTEMPTS_MAX && process.logged(PORT_TAKEN)) return undefined
    throw error
  }
}
