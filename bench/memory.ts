import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '../src/demo/database.ts'
import { createTopics, disconnect, freshName, openKafka } from '../src/demo/kafka.ts'
import { environmentOf, RelayProcess, relayCommand } from '../src/demo/relay-process.ts'
import { freePort } from '../src/embedded/free-port.ts'
import { startParts } from '../src/embedded/parts.ts'
import { pause } from '../src/internal/pause.ts'
import { migrate } from '../src/migrate.ts'
import { loadOptions } from '../src/options.ts'
import { type Backlog, fill } from './backlog.ts'
import { processMemoryMib } from './process-memory.ts'

export interface MemoryBenchOptions {
  readonly events: number
  readonly keys: number
  readonly bytes: number
  readonly partitions: number
  /** How long each relay runs. */
  readonly seconds: number
}

export interface MemoryPhase {
  readonly phase: 'broker down' | 'draining'
  /** Resident memory of the relay's process, threads included. */
  readonly greatestMib: number
  readonly lastMib: number
  /** From SIGTERM to the end of the process. */
  readonly stopMs: number
}

const SAMPLE_MS = 500
const STOP_MS = 20_000
const FILL_AT_ONCE = 1_000_000
const never = new AbortController().signal

/** What a relay needs with many events waiting: while no broker answers, and while it publishes at full speed. */
export async function benchMemory(
  options: MemoryBenchOptions,
  onProgress: (text: string) => void,
): Promise<MemoryPhase[]> {
  const parts = await startParts({ env: process.env, onProgress })
  const env = environmentOf(parts, process.env)
  const { databaseUrl, kafka: connection } = loadOptions(env)
  const sql = openDatabase(databaseUrl, 'sluice-bench', 1)
  const kafka = openKafka({ ...connection, clientId: 'sluice-bench' })
  const admin = kafka.admin()
  const backlog: Backlog = { ...options, topic: freshName('memory') }
  try {
    await migrate({ databaseUrl })
    await admin.connect()
    await createTopics(admin, [backlog.topic], options.partitions)
    for (let left = options.events; left > 0; left -= FILL_AT_ONCE) {
      await sql.begin(async tx => {
        await tx`set local statement_timeout = '10min'`
        await fill(tx as unknown as typeof sql, {
          ...backlog,
          events: Math.min(left, FILL_AT_ONCE),
        })
      })
      onProgress(
        `${(options.events - Math.max(0, left - FILL_AT_ONCE)).toLocaleString('en-US')} events wait`,
      )
    }
    const nowhere = { ...env, KAFKA_BROKERS: `127.0.0.1:${await freePort()}` }
    return [
      { phase: 'broker down', ...(await watch(nowhere, options.seconds)) },
      { phase: 'draining', ...(await watch(env, options.seconds)) },
    ]
  } finally {
    await disconnect(admin)
    await sql.end({ timeout: 2 })
    await parts.stop()
  }
}

async function watch(env: NodeJS.ProcessEnv, seconds: number) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  const relay = await RelayProcess.launch({
    command: relayCommand(),
    env: { ...env, SLUICE_RETENTION: '0' },
    logFile: join(folder, 'relay.log'),
  })
  const samples: number[] = []
  try {
    for (const endMs = performance.now() + seconds * 1_000; performance.now() < endMs; ) {
      await pause(SAMPLE_MS, never)
      if (relay.hasEnded) throw new Error(`the relay ended by itself:\n${relay.logTail()}`)
      const mib = processMemoryMib(relay.pid)
      if (mib !== null) samples.push(mib)
    }
    const stopAtMs = performance.now()
    await relay.stop(STOP_MS)
    const stopMs = performance.now() - stopAtMs
    return { greatestMib: Math.max(...samples), lastMib: samples.at(-1) ?? 0, stopMs }
  } finally {
    await relay.stop(STOP_MS)
    rmSync(folder, { recursive: true, force: true })
  }
}
