import type { Kafka } from 'kafkajs'
import { openDatabase } from '../src/demo/database.ts'
import { readTopics } from '../src/demo/evidence.ts'
import { createTopics, disconnect, freshName, openKafka } from '../src/demo/kafka.ts'
import { environmentOf } from '../src/demo/relay-process.ts'
import { Judge, passes, type Verdict } from '../src/demo/verdict.ts'
import { startParts } from '../src/embedded/parts.ts'
import { migrate } from '../src/migrate.ts'
import { loadOptions } from '../src/options.ts'
import { type Backlog, committedEvents, fill } from './backlog.ts'
import { publishRaw } from './raw-producer.ts'
import { type Drain, drain } from './relay-drain.ts'

export interface DrainBenchOptions {
  readonly events: number
  readonly keys: number
  readonly bytes: number
  readonly partitions: number
  readonly rounds: number
  /** Threads of the relay; undefined: its default. */
  readonly workers: number | undefined
}

export interface Round extends Drain {
  /** Events per second of a bare producer, before and after the relay. */
  readonly raw: readonly [number, number]
  /** The relay's rate over the mean of the two. */
  readonly ratio: number
  readonly verdict: Verdict
}

const STALL_MS = 30_000

/**
 * Drains a full outbox, between two runs of a bare producer with the same records.
 * @param onRound told of each round as it ends
 * @returns all rounds; fails when not every event arrived unaltered and in order
 */
export async function benchDrain(
  options: DrainBenchOptions,
  onProgress: (text: string) => void,
  onRound: (round: Round) => void,
): Promise<Round[]> {
  const parts = await startParts({ env: process.env, onProgress })
  try {
    await migrate({ databaseUrl: parts.databaseUrl })
    const env = environmentOf(parts, process.env)
    if (options.workers !== undefined) env.SLUICE_WORKERS = String(options.workers)
    const rounds: Round[] = []
    for (let n = 0; n < options.rounds; n++) {
      const round = await playRound(options, env)
      onRound(round)
      rounds.push(round)
    }
    return rounds
  } finally {
    await parts.stop()
  }
}

async function playRound(options: DrainBenchOptions, env: NodeJS.ProcessEnv): Promise<Round> {
  const { databaseUrl, kafka: connection } = loadOptions(env)
  const sql = openDatabase(databaseUrl, 'sluice-bench', 2)
  const kafka = openKafka({ ...connection, clientId: 'sluice-bench' })
  const admin = kafka.admin()
  const run = freshName('bench')
  const backlogOf = (name: string): Backlog => ({ ...options, topic: `${run}-${name}` })
  const before = backlogOf('raw-before')
  const relayed = backlogOf('relay')
  const after = backlogOf('raw-after')
  const topics = [before, relayed, after].map(({ topic }) => topic)
  try {
    const [row] = await sql<{ used: boolean }[]>`select exists (select from outbox.events) as used`
    if (row?.used) throw new Error('outbox.events is not empty: a bench needs an outbox of its own')
    await admin.connect()
    await createTopics(admin, topics, options.partitions)
    const rawBefore = await publishRaw(kafka, before)
    await sql`vacuum outbox.events`
    await sql.begin(async tx => {
      await tx`set local statement_timeout = '10min'`
      await fill(tx as unknown as typeof sql, relayed)
    })
    const drained = await drain({ sql, admin, backlog: relayed, env })
    const rawAfter = await publishRaw(kafka, after)
    const verdict = await judgeBacklog(kafka, relayed)
    if (!passes(verdict)) throw new Error(`not all arrived in order: ${JSON.stringify(verdict)}`)
    const ratio = drained.eventsPerSecond / ((rawBefore + rawAfter) / 2)
    return { ...drained, raw: [rawBefore, rawAfter], ratio, verdict }
  } finally {
    await admin.deleteTopics({ topics }).catch(() => {}) // they may not have been created
    await disconnect(admin)
    await sql.end({ timeout: 2 })
  }
}

async function judgeBacklog(kafka: Kafka, backlog: Backlog): Promise<Verdict> {
  const court = new Judge()
  for (const event of committedEvents(backlog)) court.commit(event)
  const topics = [backlog.topic]
  await readTopics({ kafka, topics, stallMs: STALL_MS }, record => court.deliver(record))
  return court.verdict()
}
