import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type postgres from 'postgres'
import type { Scope } from '../../support/parts.ts'
import { connect, type Parts } from '../campaign/stage.ts'
import { startOwnCluster } from '../faults/own-cluster.ts'
import { startOwnPostgres } from '../faults/own-postgres.ts'
import { JOURNAL_SQL } from './journal.ts'

/** What admission has in Kafka. */
export interface Names {
  readonly joinsTopic: string
  readonly changesTopic: string
  readonly group: string
}

/** One campaign's database and topics on the parts. */
export interface AdmissionStage extends Parts, Names {
  /** Through the proxies: the environment of what is tested. */
  readonly env: NodeJS.ProcessEnv
  readonly directUrl: string
  readonly sql: postgres.Sql
  readonly folder: string
  close(): Promise<void>
}

const PARTITIONS = { joins: 6, changes: 3 }

/** When a transaction was committed is known afterwards. */
export async function startAdmissionParts(scope: Scope): Promise<Parts> {
  const settings = { track_commit_timestamp: 'on', max_connections: '150' }
  const [cluster, own] = await Promise.all([
    startOwnCluster(scope, { brokers: 1 }),
    startOwnPostgres(scope, { settings }),
  ])
  return { cluster, postgres: own }
}

/**
 * @param root the folder whose `bin/sluice` migrates
 * @param folder for logs; it must not be there yet
 */
export async function openStage(
  parts: Parts,
  { root, folder }: { readonly root: string; readonly folder: string },
): Promise<AdmissionStage> {
  await mkdir(folder, { recursive: true })
  const name = `admission_${randomBytes(4).toString('hex')}`
  const admin = connect(parts.postgres.directUrl)
  await admin`create database ${admin(name)}`
  await admin.end()
  const directUrl = inDatabase(parts.postgres.directUrl, name)
  await migrate(root, directUrl)
  const sql = connect(directUrl)
  await sql.unsafe(JOURNAL_SQL)
  const joinsTopic = `${name}-joins`
  const changesTopic = `${name}-changes`
  const group = `${name}-granter`
  await parts.cluster.createTopic(joinsTopic, { partitions: PARTITIONS.joins })
  await parts.cluster.createTopic(changesTopic, { partitions: PARTITIONS.changes })
  const { PATH, HOME, TMPDIR } = process.env
  return {
    ...parts,
    ...{ directUrl, sql, folder, joinsTopic, changesTopic, group },
    // Nothing of ours: a `PG…` or `SLUICE_…` variable would change what is tested.
    env: {
      ...{ PATH, HOME, TMPDIR },
      DATABASE_URL: inDatabase(parts.postgres.url, name),
      KAFKA_BROKERS: parts.cluster.brokers.join(','),
    },
    close: async () => {
      await sql.end({ timeout: 1 })
    },
  }
}

async function migrate(root: string, databaseUrl: string): Promise<void> {
  const { PATH, HOME, TMPDIR } = process.env
  const args = [join(root, 'bin', 'sluice'), 'migrate', 'outbox', 'consumer', 'admission']
  const child = spawn(process.execPath, args, {
    env: { PATH, HOME, TMPDIR, DATABASE_URL: databaseUrl },
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
