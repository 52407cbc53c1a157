import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createTopics, disconnect, freshName, openKafka } from '../src/demo/kafka.ts'
import { environmentOf, RelayProcess, relayCommand } from '../src/demo/relay-process.ts'
import type { Sql } from '../src/demo/shop-schema.ts'
import { freePort } from '../src/embedded/free-port.ts'
import { startParts } from '../src/embedded/parts.ts'
import { packageRoot } from '../src/internal/package-root.ts'
import { pause } from '../src/internal/pause.ts'
import { migrate } from '../src/migrate.ts'
import { loadOptions } from '../src/options.ts'
import type { HttpStep } from './http-connection.ts'
import type { LoadReport } from './http-load.ts'
import { HttpLoader } from './http-loader.ts'
import { withOwnDatabase } from './own-database.ts'
import { processCpuSeconds } from './process-cpu.ts'
import { ServedProcess } from './served-process.ts'

export interface AdmissionBenchOptions {
  /** Visitors of the room, most of whom wait. */
  readonly joins: number
  readonly connections: number
  /** How long polls are asked, of admission and of a bare server. */
  readonly seconds: number
}

/** What one load met; CPU as a share of one core. */
export interface AdmissionPhase extends LoadReport {
  readonly phase: 'joins' | 'bare polls' | 'polls' | 'leaves, one by one' | 'leaves, many'
  /** Of the server's process; null where it cannot be read. */
  readonly serverCpuShare: number | null
}

const CAPACITY = 200
const LEAVES = { oneByOne: 600, many: 4_000 }
const SESSIONS = '/api/waiting-room/sessions'
const EVENT = 'bench'
const NUMBERED_WITHIN_MS = 180_000
const POLL_MS = 100
const BEARER = 'the-operator-of-this-bench'
const RELAY_STOP_MS = 20_000
const never = new AbortController().signal

interface Bench extends AdmissionBenchOptions {
  readonly sql: Sql
  readonly loader: HttpLoader
  readonly server: ServedProcess
  readonly port: number
  readonly folder: string
}

/**
 * One room of admission's, in one process, its relay in another: joins, looks, and leaves that let the next in.
 * @returns the phases, in their order
 */
export async function benchAdmission(
  options: AdmissionBenchOptions,
  onProgress: (text: string) => void,
): Promise<AdmissionPhase[]> {
  const parts = await startParts({ env: process.env, onProgress })
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  const loader = new HttpLoader()
  try {
    return await withOwnDatabase(parts.databaseUrl, async ({ url, sql }) => {
      await migrate({ databaseUrl: url, schemas: ['admission'] })
      const env = { ...environmentOf(parts, process.env), DATABASE_URL: url }
      return withServer({ env, folder }, (server, port) =>
        play({ ...options, sql, loader, server, port, folder }, onProgress),
      )
    })
  } finally {
    await loader.close()
    rmSync(folder, { recursive: true, force: true })
    await parts.stop()
  }
}

async function withServer<T>(
  { env, folder }: { env: NodeJS.ProcessEnv; folder: string },
  work: (server: ServedProcess, port: number) => Promise<T>,
): Promise<T> {
  const { kafka: connection } = loadOptions(env)
  const name = freshName('bench-admission')
  const topics = [`${name}-joins`, `${name}-changes`]
  const [joinsTopic, changesTopic] = topics
  const port = await freePort()
  const kafka = openKafka({ ...connection, clientId: 'sluice-bench' })
  const admin = kafka.admin()
  await admin.connect()
  await createTopics(admin, topics, 6)
  const relay = await RelayProcess.launch({
    command: relayCommand(),
    env: { ...env, SLUICE_RETENTION: '0' },
    logFile: join(folder, 'relay.log'),
  })
  try {
    const server = await ServedProcess.start({
      program: join(packageRoot(), 'bin', 'sluice'),
      args: ['admission'],
      env: {
        ...env,
        SLUICE_ADMISSION_HTTP: `127.0.0.1:${port}`,
        SLUICE_ADMISSION_CAPACITY: String(CAPACITY),
        SLUICE_ADMISSION_ADMIN_TOKEN: BEARER,
        SLUICE_ADMISSION_JOINS_PER_SECOND: 'off',
        SLUICE_ADMISSION_JOINS_TOPIC: joinsTopic,
        SLUICE_ADMISSION_CHANGES_TOPIC: changesTopic,
        SLUICE_ADMISSION_GROUP: name,
      },
      probeUrl: `http://127.0.0.1:${port}/livez`,
      logFile: join(folder, 'admission.log'),
    })
    return await work(server, port).finally(() => server.stop())
  } finally {
    await relay.stop(RELAY_STOP_MS)
    await admin.deleteTopics({ topics }).catch(() => {}) // they may not have been created
    await disconnect(admin)
  }
}

async function play(bench: Bench, onProgress: (text: string) => void): Promise<AdmissionPhase[]> {
  await openRoom(bench)
  const users = Array.from({ length: bench.joins }, (_, n): HttpStep => {
    const body = JSON.stringify({ eventId: EVENT, userId: `user-${n}` })
    return { method: 'POST', path: SESSIONS, body }
  })
  const joins = await load(bench, 'joins', { steps: users, status: 202 })
  onProgress(`${bench.joins} have joined`)
  await allNumbered(bench)
  const waiting = await pathsOf(bench, 'WAITING', bench.joins)
  const look = waiting.map((path): HttpStep => ({ method: 'GET', path }))
  const forMs = bench.seconds * 1_000
  const bare = await pollBare(bench, look, forMs)
  const polls = await load(bench, 'polls', { steps: look, forMs })
  onProgress('looks are measured')
  const single = await leave(bench, 'leaves, one by one', LEAVES.oneByOne, 1)
  const many = await leave(bench, 'leaves, many', LEAVES.many, bench.connections)
  return [joins, bare, polls, single, many]
}

/** Nobody is passed over, and nobody loses the place that the bench keeps. */
async function openRoom({ port }: Bench): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}/api/waiting-room/rooms/${EVENT}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${BEARER}`, 'content-type': 'application/json' },
    body: JSON.stringify({ capacity: CAPACITY, claimSeconds: 3_600, waitGraceSeconds: null }),
  })
  if (!answer.ok) throw new Error(`the room was answered ${answer.status}: ${await answer.text()}`)
}

async function allNumbered({ sql }: Bench): Promise<void> {
  const untilMs = performance.now() + NUMBERED_WITHIN_MS
  for (;;) {
    const [row] = await sql<{ missing: number }[]>`
      select count(*)::int as missing from admission.sessions where seq is null`
    if (row?.missing === 0) return
    if (performance.now() > untilMs) throw new Error(`${row?.missing} joins have no number`)
    await pause(POLL_MS, never)
  }
}

/** In no order. */
async function pathsOf({ sql }: Bench, status: string, limit: number): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select id::text from admission.sessions where status = ${status} order by id limit ${limit}`
  return rows.map(({ id }) => `${SESSIONS}/${id}`)
}

/** The same bytes from a route that does nothing. */
async function pollBare(bench: Bench, steps: HttpStep[], forMs: number): Promise<AdmissionPhase> {
  const text = await (await fetch(`http://127.0.0.1:${bench.port}${steps[0]?.path}`)).text()
  const port = await freePort()
  const { PATH, HOME, TMPDIR } = process.env
  const server = await ServedProcess.start({
    program: fileURLToPath(new URL('./bare-server.ts', import.meta.url)),
    execArgv: ['--import', 'tsx'],
    env: { PATH, HOME, TMPDIR, BARE_TEXT: text, BARE_PORT: String(port) },
    probeUrl: `http://127.0.0.1:${port}/`,
    logFile: join(bench.folder, 'bare.log'),
  })
  try {
    return await load({ ...bench, server, port }, 'bare polls', { steps, forMs })
  } finally {
    await server.stop()
  }
}

/**
 * Whoever is active leaves, which lets as many in. A leave is answered after the commit in which the next one is let in:
 * what it takes is the time from a leave to the next grant.
 */
async function leave(
  bench: Bench,
  phase: AdmissionPhase['phase'],
  leaves: number,
  connections: number,
): Promise<AdmissionPhase> {
  const rounds: AdmissionPhase[] = []
  const granted = await grantedOf(bench)
  for (let left = leaves; left > 0; ) {
    const paths = await pathsOf(bench, 'ACTIVE', Math.min(CAPACITY, left))
    left -= paths.length
    const steps = paths.map((path): HttpStep => ({ method: 'POST', path: `${path}/leave` }))
    rounds.push(await load({ ...bench, connections }, phase, { steps }))
  }
  const grants = (await grantedOf(bench)) - granted
  if (grants !== leaves) throw new Error(`${leaves} leaves let ${grants} in`)
  return joined(rounds)
}

async function grantedOf({ sql }: Bench): Promise<number> {
  const [row] = await sql<{ granted: number }[]>`
    select granted::int from admission.rooms where event_id = ${EVENT}`
  return row?.granted ?? 0
}

/** Several short loads of one kind as one; of their spreads the worst. */
function joined(rounds: readonly AdmissionPhase[]): AdmissionPhase {
  const [first] = rounds as [AdmissionPhase]
  const sum = (of: (round: AdmissionPhase) => number) =>
    rounds.reduce((total, round) => total + of(round), 0)
  const seconds = sum(round => round.seconds)
  const requests = sum(round => round.requests)
  return {
    ...first,
    requests,
    seconds,
    perSecond: requests / seconds,
    p50Ms: sum(round => round.p50Ms * round.requests) / requests,
    p99Ms: Math.max(...rounds.map(round => round.p99Ms)),
    cpuShare: sum(round => round.cpuShare * round.seconds) / seconds,
    serverCpuShare: sum(round => (round.serverCpuShare ?? 0) * round.seconds) / seconds,
  }
}

async function load(
  { loader, server, port, connections }: Pick<Bench, 'loader' | 'server' | 'port' | 'connections'>,
  phase: AdmissionPhase['phase'],
  {
    steps,
    status = 200,
    forMs = null,
  }: { steps: HttpStep[]; status?: number; forMs?: number | null },
): Promise<AdmissionPhase> {
  const order = { hostname: '127.0.0.1', port, connections, steps, forMs }
  const before = processCpuSeconds(server.pid)
  const report = await loader.play(order, status)
  const after = processCpuSeconds(server.pid)
  const serverCpuShare =
    before === null || after === null ? null : (after - before) / report.seconds
  return { ...report, phase, serverCpuShare }
}
