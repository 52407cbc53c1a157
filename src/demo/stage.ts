import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Admin, Kafka } from 'kafkajs'
import { loadOptions } from '../options.ts'
import { ShopConsumer } from './consumer.ts'
import { openDatabase } from './database.ts'
import { createTopics, disconnect, freshName, openKafka } from './kafka.ts'
import type { Stream } from './purchase-plan.ts'
import { RelayProcess } from './relay-process.ts'
import type { RunningParts } from './running-parts.ts'
import type { Screen } from './screen.ts'
import { createShop, type Sql } from './shop-schema.ts'

const PARTITIONS = 12
const RELAY_READY_MS = 60_000
const RELAY_STOP_MS = 20_000

export interface StageOptions {
  readonly connectionsMax: number
  /** The relay's command line, program first. */
  readonly relayCommand: readonly string[]
  /** Names the parts and may hold further settings of the relay. */
  readonly env: NodeJS.ProcessEnv
  /** Told what to end, in the order in which it starts. */
  readonly running: RunningParts
  readonly screen: Screen
  readonly signal: AbortSignal
}

/** Everything a run needs beside the shop itself: schema, topics, relay and consumer. */
export interface Stage {
  readonly run: string
  readonly topics: Readonly<Record<Stream, string>>
  readonly sql: Sql
  readonly kafka: Kafka
  readonly admin: Admin
  readonly relay: RelayProcess
  readonly consumer: ShopConsumer
  readonly logFile: string
  /** Ends the relay in order, so that nothing more can reach Kafka. */
  stopRelay(): Promise<void>
  /** Removes the relay's log. */
  removeLog(): void
}

/** Sets the stage on a migrated database. What is started is given to `running` at once. */
export async function setStage(options: StageOptions): Promise<Stage> {
  const { running, screen } = options
  const run = freshName('run').slice(4)
  const topics = { orders: `shop-orders-${run}`, payments: `shop-payments-${run}` }

  const settings = loadOptions(options.env)
  const sql = openDatabase(settings.databaseUrl, 'sluice-demo', options.connectionsMax)
  running.add({ stop: () => sql.end({ timeout: 2 }) })
  await createShop(sql)

  const kafka = openKafka({ ...settings.kafka, clientId: 'sluice-demo' })
  const admin = kafka.admin()
  running.add({ stop: () => disconnect(admin) })
  await admin.connect()
  await createTopics(admin, Object.values(topics), PARTITIONS)
  screen.step(`shop ready: topics ${Object.values(topics).join(', ')}, schema shop`)

  const { relay, logFile } = await startRelay(options)
  screen.step(`relay ready: process ${relay.pid}, ${relay.httpUrl}`)

  const consumer = await ShopConsumer.start(kafka, `shop-${run}`, Object.values(topics))
  running.add({ stop: () => consumer.stop() })
  screen.step(`consumer ready: group shop-${run}`)
  return {
    run,
    topics,
    sql,
    kafka,
    admin,
    relay,
    consumer,
    logFile,
    stopRelay: () => relay.stop(RELAY_STOP_MS),
    removeLog: () => rmSync(join(logFile, '..'), { recursive: true, force: true }),
  }
}

async function startRelay(options: StageOptions) {
  const { env, relayCommand: command, running, signal } = options
  const logFile = join(mkdtempSync(join(tmpdir(), 'sluice-demo-')), 'relay.log')
  const relay = await RelayProcess.launch({ command, env, logFile })
  running.add({ stop: () => relay.stop(RELAY_STOP_MS), kill: () => relay.kill() })
  await relay.ready(RELAY_READY_MS, signal)
  return { relay, logFile }
}
