import { execFileSync } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { disconnect, openKafka } from '../../../src/demo/kafka.ts'
import { packageRoot } from '../../../src/internal/package-root.ts'
import { pause } from '../../../src/internal/pause.ts'
import { until } from '../../support/until.ts'
import { Nemesis, planFaultsOf } from '../campaign/nemesis.ts'
import { groupOffsets } from '../consumer/group-offsets.ts'
import type { OwnCluster } from '../faults/own-cluster.ts'
import { collect } from './collecting.ts'
import { type PubsubField, pubsubFaults } from './faults.ts'
import { PubsubHistory } from './history.ts'
import type { PartySpec } from './party-spec.ts'
import { Troupe } from './troupe.ts'

export interface PubsubCampaignOptions {
  /** For what the parties write; must not be there yet. */
  readonly folder: string
  readonly seed: number
  readonly durationMs: number
  /** How each requester reads replies. */
  readonly requesters: readonly PartySpec['replies'][]
  readonly workers: number
  readonly faults: readonly string[]
  readonly faultEveryMs: number
  /** Of each requester. */
  readonly requestsPerSecond: number
  readonly timeoutMs: number
  readonly drainDeadlineMs: number
  readonly onProgress: (text: string) => void
}

export interface PubsubStage {
  readonly cluster: OwnCluster
  readonly workerTopic: string
  readonly replyTopic: string
  readonly workerGroup: string
  readonly replyGroup: string
}

/** Faults last about so long. */
const FAULT_MS = 2_500
const NEVER = new AbortController().signal
const WORKER_PARTITIONS = 4
const REPLY_PARTITIONS = 6

/** Runs one campaign on the cluster. Judging its history is the checker's. */
export async function runPubsubCampaign(
  cluster: OwnCluster,
  options: PubsubCampaignOptions,
): Promise<PubsubHistory> {
  await mkdir(options.folder, { recursive: true })
  const stage = await openStage(cluster)
  const history = new PubsubHistory()
  tellBegin(history, options)
  const workers = troupeOf(stage, options, history, 'worker')
  const requesters = troupeOf(stage, options, history, 'requester')
  const kafka = openKafka({ brokers: cluster.directBrokers, clientId: 'chaos' })
  try {
    await workers.start()
    await requesters.start()
    options.onProgress('all are connected')
    await strike({ cluster, requesters, workers }, history, options)
    options.onProgress('the faults are over; coming to rest')
    await workers.complete()
    await requesters.complete()
    for (const order of ['rest', 'final'] as const) {
      await Promise.all(requesters.running.map(party => party.ask(order)))
    }
    await requesters.stop()
    await drained(stage, kafka, options.drainDeadlineMs)
    await workers.stop()
    options.onProgress('reading what Kafka holds')
    const logFiles = [...requesters.logFiles, ...workers.logFiles]
    await collect(stage, kafka, { history, logFiles })
    return history
  } finally {
    await Promise.all([requesters.kill(), workers.kill()])
  }
}

async function openStage(cluster: OwnCluster): Promise<PubsubStage> {
  const name = `pubsub_${Math.random().toString(36).slice(2, 10)}`
  const [workerTopic, replyTopic] = [`${name}-worker`, `${name}-reply`]
  // When a record reached the broker decides whether its reply was in time.
  const config = { 'message.timestamp.type': 'LogAppendTime' }
  await cluster.createTopic(workerTopic, { partitions: WORKER_PARTITIONS, config })
  await cluster.createTopic(replyTopic, { partitions: REPLY_PARTITIONS, config })
  const groups = { workerGroup: `${name}-workers`, replyGroup: `${name}-requesters` }
  return { cluster, workerTopic, replyTopic, ...groups }
}

function tellBegin(
  history: PubsubHistory,
  { seed, durationMs, timeoutMs }: PubsubCampaignOptions,
): void {
  const minutes = durationMs / 60_000
  const commit = commitOf(packageRoot())
  history.tell({ kind: 'campaign', atMs: Date.now(), seed, commit, minutes, timeoutMs })
}

function troupeOf(
  { cluster, ...names }: PubsubStage,
  { requesters, workers, timeoutMs, requestsPerSecond, folder }: PubsubCampaignOptions,
  history: PubsubHistory,
  role: PartySpec['role'],
): Troupe {
  const common = { ...names, role, brokers: cluster.brokers, timeoutMs, requestsPerSecond }
  const replies = role === 'requester' ? requesters : Array<'shared'>(workers).fill('shared')
  return new Troupe({ seats: replies.map(each => ({ ...common, replies: each })), folder, history })
}

/** Everything under faults; it ends healed. */
async function strike(
  field: PubsubField,
  history: PubsubHistory,
  { faults: kinds, seed, durationMs, faultEveryMs: everyMs }: PubsubCampaignOptions,
): Promise<void> {
  const told = new Set(['fault_started', 'fault_healed', 'note'])
  const nemesis = new Nemesis<PubsubField>(field, {
    tell: happening => {
      if (told.has(happening.kind)) history.tell(happening as Parameters<typeof history.tell>[0])
    },
  })
  const plan = planFaultsOf(pubsubFaults, { kinds, seed, durationMs, leaseMs: FAULT_MS, everyMs })
  const startedMs = performance.now()
  await nemesis.run(plan)
  await pause(startedMs + durationMs - performance.now(), NEVER)
  // Whatever a fault that failed has left behind.
  await field.cluster.heal()
}

/** Each request that the brokers have was handled. What is left is the checker's to judge. */
async function drained(
  { workerTopic, workerGroup }: PubsubStage,
  kafka: ReturnType<typeof openKafka>,
  deadlineMs: number,
): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  try {
    const empty = async () => {
      const committed = await groupOffsets(admin, workerGroup, [workerTopic])
      const ends = await admin.fetchTopicOffsets(workerTopic)
      return ends.every(({ partition, high }) => {
        const found = committed.find(each => each.partition === partition)
        return Number(high) === (found?.committed ?? 0)
      })
    }
    await until(empty, { deadlineMs, what: 'all requests are handled' }).catch(() => {})
  } finally {
    await disconnect(admin)
  }
}

function commitOf(root: string): string {
  try {
    const head = ['-C', root, 'describe', '--always', '--dirty', '--abbrev=12']
    const stdio = ['ignore', 'pipe', 'ignore'] as ['ignore', 'pipe', 'ignore']
    return execFileSync('git', head, { encoding: 'utf8', stdio }).trim()
  } catch {
    return 'unknown'
  }
}
