import { createTopics, disconnect, freshName, openKafka } from '../src/demo/kafka.ts'
import { environmentOf } from '../src/demo/relay-process.ts'
import type { Sql } from '../src/demo/shop-schema.ts'
import { startParts } from '../src/embedded/parts.ts'
import { loadOptions } from '../src/options.ts'
import type { Backlog } from './backlog.ts'
import { batchesOfBus, singlesOfBus } from './bus-consumers.ts'
import type { Pace } from './course.ts'
import { createEffects, judgeEffects } from './effects.ts'
import { withOwnDatabase } from './own-database.ts'
import { batchesRaw, readRaw, singlesRaw } from './raw-consumers.ts'
import { publishRaw } from './raw-producer.ts'

export interface ConsumeBenchOptions {
  readonly events: number
  readonly keys: number
  readonly bytes: number
  readonly partitions: number
  readonly rounds: number
}

export interface ConsumeRound {
  /** kafkajs alone, nothing written. */
  readonly read: Pace
  /** One transaction for each batch: written by hand over kafkajs and postgres.js, and `subscribeBatch`. */
  readonly rawBatches: Pace
  readonly batches: Pace
  /** One transaction for each of a fifth of the events: by hand, and `subscribe`. */
  readonly rawSingles: Pace
  readonly singles: Pace
}

/** Transactions at once where each record has its own. */
const CONCURRENCY = 16
const SINGLES_SHARE = 5

/**
 * Consumes one topic by hand and by the kit, in turn, each with an inbox and an effect for each record.
 * @param onRound told of each round as it ends
 * @returns all rounds; fails when not every event had one effect, in order
 */
export async function benchConsume(
  options: ConsumeBenchOptions,
  onProgress: (text: string) => void,
  onRound: (round: ConsumeRound) => void,
): Promise<ConsumeRound[]> {
  const parts = await startParts({ env: process.env, onProgress })
  try {
    const env = environmentOf(parts, process.env)
    const rounds: ConsumeRound[] = []
    for (let n = 0; n < options.rounds; n++) {
      const round = await withOwnDatabase(parts.databaseUrl, ({ url, sql }) =>
        playRound(options, { ...env, DATABASE_URL: url }, sql),
      )
      onRound(round)
      rounds.push(round)
    }
    return rounds
  } finally {
    await parts.stop()
  }
}

async function playRound(
  options: ConsumeBenchOptions,
  env: NodeJS.ProcessEnv,
  sql: Sql,
): Promise<ConsumeRound> {
  const { databaseUrl, kafka: connection } = loadOptions(env)
  const kafka = openKafka({ ...connection, clientId: 'sluice-bench' })
  const admin = kafka.admin()
  const name = freshName('bench-consume')
  const all: Backlog = { ...options, topic: name }
  const few: Backlog = {
    ...all,
    topic: `${name}-few`,
    events: Math.ceil(all.events / SINGLES_SHARE),
  }
  const runOf = ({ topic, events }: Backlog, run: string) => {
    return { kafka, connection, databaseUrl, topic, events, run: `${name}-${run}` }
  }
  const judged = async (run: { run: string; events: number }, pace: Promise<Pace>) => {
    const result = await pace
    await judgeEffects(sql, run.run, run.events)
    return result
  }
  try {
    await admin.connect()
    await createTopics(admin, [all.topic, few.topic], options.partitions)
    await createEffects(sql)
    for (const backlog of [all, few]) await publishRaw(kafka, backlog)
    const read = await readRaw(runOf(all, 'read'))
    const [byHand, batch] = [runOf(all, 'raw-batches'), runOf(all, 'batches')]
    const rawBatches = await judged(byHand, batchesRaw(byHand))
    const batches = await judged(batch, batchesOfBus(batch))
    const [oneByHand, one] = [runOf(few, 'raw-singles'), runOf(few, 'singles')]
    const rawSingles = await judged(oneByHand, singlesRaw(oneByHand, CONCURRENCY))
    const singles = await judged(one, singlesOfBus(one, CONCURRENCY))
    return { read, rawBatches, batches, rawSingles, singles }
  } finally {
    await admin.deleteTopics({ topics: [all.topic, few.topic] }).catch(() => {}) // they may not have been created
    await disconnect(admin)
  }
}
