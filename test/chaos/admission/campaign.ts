import { execFileSync } from 'node:child_process'
import { openKafka } from '../../../src/demo/kafka.ts'
import { describeError } from '../../../src/errors.ts'
import { pause } from '../../../src/internal/pause.ts'
import { Fleet } from '../campaign/fleet.ts'
import { Nemesis, planFaultsOf } from '../campaign/nemesis.ts'
import type { Parts } from '../campaign/stage.ts'
import { collect } from './collecting.ts'
import { DoorClient } from './door-client.ts'
import { Doors } from './doors.ts'
import { admissionFaults } from './fault-kinds.ts'
import { AdmissionHistory } from './history.ts'
import { Operator, ROOM_SETTINGS } from './operator.ts'
import { replayJoins } from './replaying.ts'
import { comeToRest } from './resting.ts'
import { type AdmissionStage, openStage } from './stage.ts'
import { watchTurns } from './turn-watch.ts'
import { visitorsOf } from './visitor-plan.ts'
import { Visitors } from './visitors.ts'

export interface AdmissionCampaignOptions {
  /** The sources that are tested. */
  readonly root: string
  /** For logs; must not be there yet. */
  readonly folder: string
  readonly seed: number
  readonly joins: number
  readonly rooms: number
  /** Of each room. */
  readonly capacity: number
  readonly stayMsMax: number
  /** Default 60. */
  readonly waitGraceSeconds?: number
  readonly faults: readonly string[]
  readonly faultEveryMs: number
  /** Who is not served by then is not waited for. */
  readonly deadlineMs: number
  readonly drainDeadlineMs: number
  readonly onProgress: (text: string) => void
}

const DOORS = 2
const BEARER = 'the-operator-of-this-campaign'
const SECRET = 'a-secret-of-this-campaign-that-is-long-enough'
/** Faults last about so long. */
const FAULT_MS = 2_500
const FAULTS_UNTIL = 0.85
const JOINS_AT_ONCE = 32
const LONG_STAY_MS = 9_000
/** How many ask at once for how long they have to wait, in all rooms. */
const WINDOWS = { min: 200, max: 500 }
const LOOK_EVERY_MS = 250
const TELL_EVERY_MS = 10_000
const NEVER = new AbortController().signal

/** Runs one campaign on the parts. Judging its history is the checker's. */
export async function runAdmissionCampaign(
  parts: Parts,
  options: AdmissionCampaignOptions,
): Promise<AdmissionHistory> {
  const stage = await openStage(parts, options)
  const history = new AdmissionHistory()
  const { seed, joins, rooms, capacity } = options
  const commit = commitOf(options.root)
  history.tell({ kind: 'campaign', atMs: Date.now(), seed, commit, joins, rooms, capacity })
  const kafka = openKafka({ brokers: parts.cluster.directBrokers, clientId: 'chaos' })
  const doors = await doorsOf(stage, options, history)
  const relay = relayOf(stage, options)
  const client = new DoorClient(doors.addresses)
  try {
    await Promise.all([relay.start(), doors.start()])
    options.onProgress('both doors serve')
    await play({ ...stage, history, doors, relay, client, kafka }, options)
    options.onProgress('draining')
    const rest = await comeToRest(stage, kafka, options.drainDeadlineMs)
    history.tell({ kind: 'rested', atMs: Date.now(), ...rest })
    if (rest.drained) history.tell(await replayJoins(stage, kafka, doors))
    await doors.stop()
    await relay.stop()
    options.onProgress('reading what Kafka and PostgreSQL hold')
    await collect(stage, kafka, history)
    return history
  } finally {
    client.close()
    await doors.kill()
    for (const replica of relay.running) replica.signal('SIGKILL')
    await Promise.all(relay.running.map(replica => replica.ended))
    await stage.close()
  }
}

interface Field extends AdmissionStage {
  readonly history: AdmissionHistory
  readonly doors: Doors
  readonly relay: Fleet
  readonly client: DoorClient
  readonly kafka: ReturnType<typeof openKafka>
}

/** Everybody comes and goes, under faults until most are through; it ends healed. */
async function play(field: Field, options: AdmissionCampaignOptions): Promise<void> {
  const { history, client, kafka, doors } = field
  const { seed, joins, capacity, stayMsMax, waitGraceSeconds, deadlineMs, onProgress } = options
  const rooms = Array.from({ length: options.rooms }, (_, index) => `event-${index + 1}`)
  const operator = new Operator({
    ...{ client, bearer: BEARER, rooms, capacity, seed },
    ...(waitGraceSeconds !== undefined && { waitGraceSeconds }),
  })
  await operator.open()
  const windows = Math.max(WINDOWS.min, 2 * capacity * rooms.length)
  const window = Math.ceil(Math.min(WINDOWS.max, windows) / rooms.length)
  const visitors = new Visitors({
    ...{ client, history, joinsAtOnce: JOINS_AT_ONCE, windowOf: () => window },
    visitors: visitorsOf({ seed, joins, rooms, stayMsMax, longStayMsMax: LONG_STAY_MS }),
    heartbeatEveryMs: (ROOM_SETTINGS.leaseSeconds * 1_000) / 3,
  })
  const endWatch = await watchTurns(kafka, field.changesTopic, sessionId =>
    visitors.call(sessionId),
  )
  const endMs = performance.now() + deadlineMs
  try {
    operator.start()
    await strike(
      field,
      options,
      () => visitors.done >= joins * FAULTS_UNTIL,
      () => {
        const { joined, done } = visitors
        return `${joined} joined, ${done} done, asked again: ${JSON.stringify(client.repeated)}`
      },
    )
    await operator.stop()
    await doors.complete()
    onProgress('faults are over')
    while (!visitors.idle && performance.now() < endMs) await pause(LOOK_EVERY_MS, NEVER)
  } finally {
    await visitors.stop()
    await endWatch()
  }
}

async function strike(
  field: Field,
  options: AdmissionCampaignOptions,
  isEnough: () => boolean,
  progress: () => string,
): Promise<void> {
  const { faults: kinds, seed, deadlineMs: durationMs, faultEveryMs: everyMs } = options
  const { history } = field
  const told = new Set(['fault_started', 'fault_healed', 'note'])
  const nemesis = new Nemesis(field, {
    tell: happening => {
      if (told.has(happening.kind)) history.tell(happening as Parameters<typeof history.tell>[0])
    },
  })
  const plan = planFaultsOf(admissionFaults, {
    kinds,
    seed,
    durationMs,
    leaseMs: FAULT_MS,
    everyMs,
  })
  const startedMs = performance.now()
  const striking = nemesis.run(plan).catch((error: unknown) => {
    const text = `a fault did not heal: ${describeError(error)}`
    history.tell({ kind: 'note', atMs: Date.now(), text })
  })
  let toldMs = startedMs
  const everyKind = () => {
    const struck = new Set(history.all('fault_started').map(({ fault }) => fault))
    return kinds.every(kind => struck.has(kind))
  }
  while (!(isEnough() && everyKind()) && performance.now() - startedMs < durationMs) {
    await pause(LOOK_EVERY_MS, NEVER)
    if (performance.now() - toldMs < TELL_EVERY_MS) continue
    toldMs = performance.now()
    options.onProgress(progress())
  }
  nemesis.stop()
  await striking
  // Whatever a fault that failed has left behind.
  await field.cluster.heal()
  await field.postgres.heal()
}

function doorsOf(
  { env, folder, joinsTopic, changesTopic, group }: AdmissionStage,
  { root, capacity }: AdmissionCampaignOptions,
  history: AdmissionHistory,
): Promise<Doors> {
  const own = {
    ...env,
    SLUICE_ADMISSION_CAPACITY: String(capacity),
    SLUICE_ADMISSION_SECRET: SECRET,
    SLUICE_ADMISSION_ADMIN_TOKEN: BEARER,
    SLUICE_ADMISSION_JOINS_PER_SECOND: 'off',
    SLUICE_ADMISSION_JOINS_TOPIC: joinsTopic,
    SLUICE_ADMISSION_CHANGES_TOPIC: changesTopic,
    SLUICE_ADMISSION_GROUP: group,
  }
  return Doors.prepare({ root, env: own, folder, history }, DOORS)
}

function relayOf({ env, folder }: AdmissionStage, { root }: AdmissionCampaignOptions): Fleet {
  const own = {
    ...env,
    SLUICE_HTTP: 'off',
    SLUICE_WORKERS: '1',
    SLUICE_RESERVE_MS: '3000',
    SLUICE_RETENTION: '0',
  }
  // What the relay does is the other campaign's; here it only has to be there.
  return new Fleet({ root, replicas: 1, env: own, logFolder: folder, history: { tell: () => {} } })
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
