import { execFileSync } from 'node:child_process'
import { openKafka } from '../../../src/demo/kafka.ts'
import { pause } from '../../../src/internal/pause.ts'
import { until } from '../../support/until.ts'
import { collect } from './collect.ts'
import { Fleet } from './fleet.ts'
import { HistoryFile, type Limits } from './history.ts'
import { Nemesis, planFaults } from './nemesis.ts'
import { countWaiting, Observer } from './observer.ts'
import { connect, logFolderOf, openStage, type Parts, type Stage } from './stage.ts'
import { Writers } from './writers.ts'

export interface CampaignOptions {
  /** The checkout whose relay is tested. */
  readonly root: string
  readonly file: string
  readonly seed: number
  readonly durationMs: number
  readonly replicas: number
  readonly faults: readonly string[]
  readonly faultEveryMs: number
  readonly leaseMs: number
  readonly transactionsPerSecond: number
  readonly retention: boolean
  readonly limits: Limits
  readonly drainDeadlineMs: number
  /** More settings of the relay. */
  readonly env?: NodeJS.ProcessEnv
  readonly onProgress: (text: string) => void
}

const WRITERS = 8

/** Runs one campaign on the parts and writes its history. Judging it is the checker's. */
export async function runCampaign(parts: Parts, options: CampaignOptions): Promise<void> {
  const { root, file, onProgress } = options
  const stage = await openStage(parts, root)
  const history = new HistoryFile(file)
  const logFolder = await logFolderOf(file)
  tellBegin(history, stage, options)
  const { replicas, seed, transactionsPerSecond } = options
  const env = { ...stage.env, ...relaySettings(options) }
  const fleet = new Fleet({ root, replicas, env, logFolder, history })
  try {
    await fleet.start()
    const { directUrl, topics } = stage
    const writers = new Writers({
      directUrl,
      topics,
      seed,
      writers: WRITERS,
      transactionsPerSecond,
    })
    const observer = new Observer({ sql: stage.sql, fleet, writers, history })
    try {
      await strike(stage, fleet, history, options)
    } finally {
      await writers.close()
    }
    onProgress(`${writers.committed} events committed; draining`)
    await drain(stage, history, options.drainDeadlineMs)
    await fleet.stop()
    await observer.stop()
    onProgress('reading what Kafka holds')
    const kafka = openKafka({ brokers: parts.cluster.directBrokers, clientId: 'chaos' })
    // Connections that no fault has touched: a result that was cut off spoils the next one of postgres.js 3.4.9.
    const sql = connect(directUrl)
    await collect({ sql, kafka, topics, history }).finally(() => sql.end({ timeout: 1 }))
  } finally {
    for (const replica of fleet.running) replica.signal('SIGKILL')
    await Promise.all(fleet.running.map(replica => replica.ended))
    await history.close()
    await stage.close()
  }
}

function tellBegin(history: HistoryFile, stage: Stage, options: CampaignOptions): void {
  const { seed, durationMs, replicas, leaseMs, retention, limits } = options
  history.tell({
    kind: 'campaign',
    atMs: Date.now(),
    seed,
    commit: commitOf(options.root),
    minutes: durationMs / 60_000,
    brokers: stage.cluster.nodes.length,
    replicas,
    leaseMs,
    retention,
    partitions: stage.partitions,
    limits,
  })
}

function relaySettings({ leaseMs, retention, env }: CampaignOptions): NodeJS.ProcessEnv {
  return {
    NODE_OPTIONS: `--import ${new URL('./thread-killer.mjs', import.meta.url)}`,
    SLUICE_HTTP: '127.0.0.1:0',
    SLUICE_WORKERS: '1',
    SLUICE_RESERVE_MS: String(leaseMs),
    SLUICE_RETENTION: retention ? '1h' : '0',
    SLUICE_RETRY_BASE_MS: '300',
    SLUICE_RETRY_MAX_MS: '3000',
    ...env,
  }
}

/** Everything under faults; it ends healed. */
async function strike(
  stage: Stage,
  fleet: Fleet,
  history: HistoryFile,
  options: CampaignOptions,
): Promise<void> {
  const { faults: kinds, seed, durationMs, leaseMs, faultEveryMs: everyMs } = options
  const partitions = stage.partitions[stage.topics.doomed] ?? 1
  const nemesis = new Nemesis({ ...stage, fleet, leaseMs, partitions }, history)
  const plan = planFaults({ kinds, seed, durationMs, leaseMs, everyMs })
  const startedMs = performance.now()
  await nemesis.run(plan)
  await pause(startedMs + durationMs - performance.now(), new AbortController().signal)
  // Whatever a fault that failed has left behind.
  await stage.cluster.heal()
  await stage.postgres.heal()
}

async function drain(stage: Stage, history: HistoryFile, deadlineMs: number): Promise<void> {
  const startedMs = performance.now()
  const empty = async () => (await countWaiting(stage.sql, stage.topics.doomed)) === 0
  const drained = await until(empty, { deadlineMs, what: 'the outbox is empty' }).then(
    () => true,
    () => false,
  )
  const drainMs = Math.round(performance.now() - startedMs)
  history.tell({ kind: 'quiet', atMs: Date.now(), drained, drainMs })
}

function commitOf(root: string): string {
  try {
    const head = ['-C', root, 'describe', '--always', '--dirty', '--abbrev=12']
    return execFileSync('git', head, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return 'unknown'
  }
}
