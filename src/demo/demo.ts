/**
 * The demo: a shop writes events in its own transactions, the relay publishes them, a consumer receives them, and at
 * the end Kafka itself is asked whether all of it is true.
 *
 *   starting → writing → (idle: `--events` without `--exit`) → draining → verdict → ended
 *
 * The stop signal (the first Ctrl-C) leads from any state to draining. A relay that ends by itself does too.
 */
import { judgeTopics } from './evidence.ts'
import { countDeadLetters, countWaiting } from './gauges.ts'
import { LiveRun } from './live-run.ts'
import { environmentOf } from './relay-process.ts'
import { verdictLines } from './report.ts'
import type { RunningParts } from './running-parts.ts'
import type { Screen } from './screen.ts'
import { Shop } from './shop.ts'
import { type Stage, setStage } from './stage.ts'
import { passes } from './verdict.ts'

export interface DemoOptions {
  /** Committed events to write; undefined: until stopped. */
  readonly events: number | undefined
  /** undefined: as fast as it goes with `events`, else 500. */
  readonly ratePerSecond: number | undefined
  /** End by itself after `events`. */
  readonly exit: boolean
  /** Leave PostgreSQL and Kafka running. */
  readonly keep: boolean
  readonly seed: number
}

/** PostgreSQL and Kafka, as `startParts` gives them. */
export interface DemoParts {
  readonly kind: string
  readonly databaseUrl: string
  readonly kafkaBrokers: string
  stop(): Promise<void>
  detach(): Promise<readonly string[]>
}

export interface DemoContext {
  startParts(): Promise<DemoParts>
  migrate(databaseUrl: string): Promise<unknown>
  readonly relayCommand: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly screen: Screen
  /** Knows at any time what must be ended; the caller ends it. */
  readonly running: RunningParts
  /** Aborted: write no more, drain, judge. */
  readonly stop: AbortSignal
}

/** Enough that their commits share the log's flushes. */
const WRITERS = 8
const GENTLE_RATE_PER_SECOND = 500
const READ_STALL_MS = 30_000

/** Runs the demo. @returns the exit code: 0, or 1 when the verdict fails or the relay died */
export async function runDemo(options: DemoOptions, context: DemoContext): Promise<number> {
  const { screen, running, stop } = context
  screen.step('bringing up PostgreSQL and Kafka')
  const parts = await context.startParts()
  running.add(parts)
  screen.step(`PostgreSQL and Kafka ready (${parts.kind})`)
  await context.migrate(parts.databaseUrl)
  screen.step('outbox schema ready')

  const env = environmentOf(parts, context.env)
  const stage = await setStage({ ...context, env, connectionsMax: WRITERS + 2, signal: stop })
  const shop = new Shop({
    sql: stage.sql,
    run: stage.run,
    topics: stage.topics,
    seed: options.seed,
    writers: WRITERS,
    events: options.events,
    ratePerSecond:
      options.ratePerSecond ?? (options.events === undefined ? GENTLE_RATE_PER_SECOND : undefined),
  })
  screen.step(`shop opens: ${WRITERS} writers, seed ${options.seed}`)
  const relayEnd = await new LiveRun({ stage, shop, screen, stop }).play(options)
  await stage.stopRelay()
  const verdict = await giveVerdict(stage, shop, screen)
  const passed = passes(verdict) && relayEnd === null
  if (passed) stage.removeLog()
  else screen.line(`the relay's log: ${stage.logFile}`)
  if (options.keep) await leaveRunning(parts, running, screen)
  return passed ? 0 : 1
}

async function giveVerdict({ sql, kafka, topics }: Stage, shop: Shop, screen: Screen) {
  screen.step('reading Kafka from the beginning')
  const names = Object.values(topics)
  let rolledBackInKafka = 0
  const verdict = await judgeTopics({
    sql,
    kafka,
    topics: names,
    stallMs: READ_STALL_MS,
    onPhantom: ({ eventId }) => {
      if (eventId !== null && shop.hasRolledBack(eventId)) rolledBackInKafka += 1
    },
  })
  const notes = {
    rolledBack: shop.rolledBack,
    rolledBackInKafka,
    deadLetters: await countDeadLetters(sql, names),
    waiting: await countWaiting(sql, names),
  }
  const lines = verdictLines(verdict, notes)
  const conclusion = lines.pop() ?? ''
  for (const line of lines) screen.line(line)
  screen.line(screen.style(passes(verdict) ? 'green' : 'red', conclusion))
  return verdict
}

async function leaveRunning(parts: DemoParts, running: RunningParts, screen: Screen) {
  const howToEnd = await parts.detach()
  running.forget(parts)
  screen.line(`export DATABASE_URL='${parts.databaseUrl}'`)
  screen.line(`export KAFKA_BROKERS='${parts.kafkaBrokers}'`)
  if (howToEnd.length > 0) screen.line('# to end them:')
  for (const line of howToEnd) screen.line(line)
}
