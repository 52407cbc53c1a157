import { execFileSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { disconnect, openKafka } from '../../../src/demo/kafka.ts'
import { pause } from '../../../src/internal/pause.ts'
import { until } from '../../support/until.ts'
import { Fleet } from '../campaign/fleet.ts'
import { Nemesis, planFaultsOf } from '../campaign/nemesis.ts'
import { connect, type Parts } from '../campaign/stage.ts'
import { collect } from './collecting.ts'
import { Crew } from './crew.ts'
import type { ConsumerField } from './fault-field.ts'
import { consumerFaults } from './fault-kinds.ts'
import { groupOffsets } from './group-offsets.ts'
import { ConsumerHistory } from './history.ts'
import { MessagePlan, type Spice } from './message-plan.ts'
import { Producing } from './producing.ts'
import { Releasing } from './releasing.ts'
import { openTasks } from './room-look.ts'
import { type ConsumerStage, openStage } from './stage.ts'
import { Watching } from './watching.ts'

export interface ConsumerCampaignOptions {
  /** The sources that are tested. */
  readonly root: string
  /** For logs and what members write; must not be there yet. */
  readonly folder: string
  readonly seed: number
  readonly durationMs: number
  /** Of the healthy and of the troubled group. */
  readonly members: readonly [number, number]
  /** How the healthy group handles its messages. */
  readonly inBatches: boolean
  readonly faults: readonly string[]
  readonly faultEveryMs: number
  readonly recordsPerSecond: number
  readonly keys: number
  readonly spice: Spice
  readonly attemptsMax: number
  readonly drainDeadlineMs: number
  readonly onProgress: (text: string) => void
}

/** Faults last about so long. */
const FAULT_MS = 2_500
const NEVER = new AbortController().signal

/** Runs one campaign on the parts. Judging its history is the checker's. */
export async function runConsumerCampaign(
  parts: Parts,
  options: ConsumerCampaignOptions,
): Promise<ConsumerHistory> {
  const stage = await openStage(parts, options.folder)
  const history = new ConsumerHistory()
  tellBegin(history, stage, options)
  const kafka = openKafka({ brokers: parts.cluster.directBrokers, clientId: 'chaos' })
  const relay = relayOf(stage, options)
  const crews = stage.groups.map((_, index) => crewOf(stage, options, { index, history }))
  const [healthy, troubled] = crews as [Crew, Crew]
  try {
    await Promise.all([relay.start(), ...crews.map(crew => crew.start())])
    options.onProgress('all members have joined')
    const releasing = new Releasing(kafka, stage.controlTopic, troubled.group)
    const { seed, keys, spice, recordsPerSecond } = options
    const plan = new MessagePlan({ seed, topics: stage.topics, keys, spice })
    const producing = new Producing(kafka, plan, recordsPerSecond)
    const watching = new Watching({ stage, kafka, producing, history })
    await strike({ ...stage, healthy, troubled, history }, options)
    await producing.stop()
    options.onProgress(`${producing.records} records written; draining`)
    await Promise.all(crews.map(crew => crew.complete()))
    await drain(stage, kafka, { history, deadlineMs: options.drainDeadlineMs })
    await releasing.stop()
    await Promise.all(crews.map(crew => crew.stop()))
    await relay.stop()
    await watching.stop()
    options.onProgress('reading what Kafka and PostgreSQL hold')
    const logFiles = crews.flatMap(crew => crew.logFiles)
    await collect(stage, kafka, { history, logFiles })
    return history
  } finally {
    await Promise.all(crews.map(crew => crew.kill()))
    for (const replica of relay.running) replica.signal('SIGKILL')
    await Promise.all(relay.running.map(replica => replica.ended))
    await stage.close()
  }
}

function tellBegin(
  history: ConsumerHistory,
  { groups }: ConsumerStage,
  { root, seed, durationMs, attemptsMax }: ConsumerCampaignOptions,
): void {
  const minutes = durationMs / 60_000
  const commit = commitOf(root)
  history.tell({
    ...{ kind: 'campaign', atMs: Date.now(), seed, commit, minutes, groups, attemptsMax },
  })
}

/** Control events, dead letters and what handlers publish leave through it. */
function relayOf(
  { url, cluster, folder }: ConsumerStage,
  { root }: ConsumerCampaignOptions,
): Fleet {
  const { PATH, HOME, TMPDIR } = process.env
  const env = {
    ...{ PATH, HOME, TMPDIR, DATABASE_URL: url, KAFKA_BROKERS: cluster.brokers.join(',') },
    SLUICE_HTTP: 'off',
    SLUICE_WORKERS: '1',
    SLUICE_RESERVE_MS: '3000',
    SLUICE_RETENTION: '0',
  }
  // What the relay does is the other campaign's; here it only has to be there.
  const silent = { tell: () => {} }
  return new Fleet({ root, replicas: 1, env, logFolder: folder, history: silent })
}

function crewOf(
  stage: ConsumerStage,
  { root, members, folder, attemptsMax, inBatches }: ConsumerCampaignOptions,
  { index, history }: { index: number; history: ConsumerHistory },
): Crew {
  const { url, cluster, controlTopic, deadLetterTopic, effectsTopic, mailDownFile } = stage
  return new Crew({
    spec: {
      ...{ root, attemptsMax, controlTopic, deadLetterTopic, effectsTopic, mailDownFile },
      group: stage.groups[index] ?? '',
      topics: Object.keys(stage.topics),
      troubled: index === 1,
      inBatches: inBatches && index === 0,
      databaseUrl: url,
      brokers: cluster.brokers,
    },
    members: members[index] ?? 1,
    folder,
    history,
  })
}

/** Everything under faults; it ends healed. */
async function strike(field: ConsumerField, options: ConsumerCampaignOptions): Promise<void> {
  const { faults: kinds, seed, durationMs, faultEveryMs: everyMs } = options
  const { history } = field
  const told = new Set(['fault_started', 'fault_healed', 'note'])
  const nemesis = new Nemesis<ConsumerField>(field, {
    tell: happening => {
      if (told.has(happening.kind)) history.tell(happening as Parameters<typeof history.tell>[0])
    },
  })
  const plan = planFaultsOf(consumerFaults, { kinds, seed, durationMs, leaseMs: FAULT_MS, everyMs })
  const startedMs = performance.now()
  await nemesis.run(plan)
  await pause(startedMs + durationMs - performance.now(), NEVER)
  // Whatever a fault that failed has left behind.
  await rm(field.mailDownFile, { force: true })
  await field.cluster.heal()
  await field.postgres.heal()
}

async function drain(
  stage: ConsumerStage,
  kafka: ReturnType<typeof openKafka>,
  { history, deadlineMs }: { history: ConsumerHistory; deadlineMs: number },
): Promise<void> {
  const startedMs = performance.now()
  const admin = kafka.admin()
  await admin.connect()
  // As when the tables are read: connections that no fault has touched.
  const sql = connect(stage.directUrl)
  let left = ''
  try {
    const empty = async () => {
      left = await leftOf({ ...stage, sql }, admin)
      return left === ''
    }
    const drained = await until(empty, { deadlineMs, what: 'all is handled' }).then(
      () => true,
      () => false,
    )
    const drainMs = Math.round(performance.now() - startedMs)
    history.tell({ kind: 'rested', atMs: Date.now(), drained, drainMs, left })
  } finally {
    await disconnect(admin)
    await sql.end({ timeout: 1 })
  }
}

/** '' once each record is committed, no task is open and the outbox is empty. */
async function leftOf(
  { sql, groups, topics }: ConsumerStage,
  admin: Parameters<typeof groupOffsets>[0],
): Promise<string> {
  const names = Object.keys(topics)
  const left: string[] = []
  for (const group of groups) {
    const offsets = await groupOffsets(admin, group, names)
    for (const topic of names) {
      for (const { partition, high } of await admin.fetchTopicOffsets(topic)) {
        const found = offsets.find(each => each.topic === topic && each.partition === partition)
        const lag = Number(high) - (found?.committed ?? 0)
        if (lag > 0) left.push(`${group} ${topic}/${partition} lag ${lag}`)
      }
    }
  }
  const open = await openTasks(sql)
  if (open > 0) left.push(`${open} open tasks`)
  const [outbox] = await sql<{ rows: number }[]>`select count(*)::int as rows from outbox.events`
  if ((outbox?.rows ?? 0) > 0) left.push(`${outbox?.rows} events in the outbox`)
  return left.join('; ')
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
