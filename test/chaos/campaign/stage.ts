import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { disconnect, openKafka } from '../../../src/demo/kafka.ts'
import type { Scope } from '../../support/parts.ts'
import { type OwnCluster, startOwnCluster } from '../faults/own-cluster.ts'
import { type OwnPostgres, startOwnPostgres } from '../faults/own-postgres.ts'
import type { Topics } from './event-plan.ts'
import { LEDGER_SQL } from './ledger.ts'

/** The real parts: brokers and a database of the campaign's own. Several campaigns may use them, one after another. */
export interface Parts {
  readonly cluster: OwnCluster
  readonly postgres: OwnPostgres
}

/** One campaign's database and topics on the parts. */
export interface Stage extends Parts {
  /** Through the proxies: the environment of the replicas. */
  readonly env: NodeJS.ProcessEnv
  readonly directUrl: string
  readonly sql: postgres.Sql
  readonly topics: Topics
  readonly partitions: Readonly<Record<string, number>>
  close(): Promise<void>
}

const WARM_UP_REQUESTS = 300
const PARTITIONS = { orders: 6, audit: 3, limited: 2, doomed: 2 } as const

export async function startParts(scope: Scope, brokers: 1 | 3): Promise<Parts> {
  const [cluster, own] = await Promise.all([
    startOwnCluster(scope, { brokers }),
    // Commits that are not waited for reach the disk late: a crash takes as many of them as it can.
    startOwnPostgres(scope, { settings: { wal_writer_delay: '2s', max_connections: '150' } }),
  ])
  await warmUp(cluster)
  return { cluster, postgres: own }
}

/** The first requests to a broker that has just started take long enough for a time-out on a busy machine. */
async function warmUp(cluster: OwnCluster): Promise<void> {
  const topic = `warm-up-${randomBytes(4).toString('hex')}`
  await cluster.createTopic(topic, { partitions: 3 })
  const producer = openKafka({
    brokers: cluster.directBrokers,
    clientId: 'chaos warm-up',
  }).producer()
  await producer.connect()
  for (let request = 0; request < WARM_UP_REQUESTS; request++) {
    await producer.send({ topic, messages: [{ key: String(request), value: 'x'.repeat(1_000) }] })
  }
  await disconnect(producer)
}

/** @param root the folder whose `bin/sluice` migrates */
export async function openStage(parts: Parts, root: string): Promise<Stage> {
  const name = `chaos_${randomBytes(4).toString('hex')}`
  const admin = postgres(parts.postgres.directUrl, { max: 1 })
  await admin`create database ${admin(name)}`
  await admin.end()
  const directUrl = inDatabase(parts.postgres.directUrl, name)
  await migrate(root, directUrl)
  const sql = connect(directUrl)
  await sql.unsafe(LEDGER_SQL)
  const topics = Object.fromEntries(
    Object.keys(PARTITIONS).map(role => [role, `${name}-${role}`]),
  ) as unknown as Topics
  const partitions: Record<string, number> = {}
  for (const [role, count] of Object.entries(PARTITIONS)) {
    const topic = topics[role as keyof Topics]
    partitions[topic] = count
    await parts.cluster.createTopic(topic, { partitions: count })
  }
  const env = environment(inDatabase(parts.postgres.url, name), parts.cluster.brokers)
  const close = async () => {
    await sql.end({ timeout: 1 })
  }
  return { ...parts, env, directUrl, sql, topics, partitions, close }
}

/** A few connections past the proxy, which outlive a restart of the server. */
export function connect(directUrl: string): postgres.Sql {
  return postgres(directUrl, {
    max: 4,
    connect_timeout: 3,
    backoff: () => 0.1,
    // postgres.js 3.4.9 asks for them on its own, and nobody hears when that fails.
    fetch_types: false,
    onnotice: () => {},
    connection: { application_name: 'chaos observer', statement_timeout: 30_000 },
  })
}

/** Nothing of ours: a `PG…` or `SLUICE_…` variable would change what is tested. */
function environment(url: string, brokers: readonly string[]): NodeJS.ProcessEnv {
  const { PATH, HOME, TMPDIR, KAFKA_CLIENT } = process.env
  const parts = { DATABASE_URL: url, KAFKA_BROKERS: brokers.join(',') }
  return { PATH, HOME, TMPDIR, ...(KAFKA_CLIENT && { KAFKA_CLIENT }), ...parts }
}

async function migrate(root: string, url: string): Promise<void> {
  const child = spawn(process.execPath, [join(root, 'bin', 'sluice'), 'migrate'], {
    env: environment(url, ['127.0.0.1:9']),
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text
  })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`sluice migrate ended with ${code}: ${said}`)
}

function inDatabase(url: string, name: string): string {
  const address = new URL(url)
  address.pathname = `/${name}`
  return address.href
}

/** A folder for the logs of replicas, beside the history. */
export async function logFolderOf(historyFile: string): Promise<string> {
  const folder = `${historyFile}.logs`
  await mkdir(folder, { recursive: true })
  return folder
}
