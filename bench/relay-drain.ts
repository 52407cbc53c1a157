import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Admin } from 'kafkajs'
import { countWaiting } from '../src/demo/gauges.ts'
import { countRecords } from '../src/demo/kafka.ts'
import { RelayProcess, relayCommand } from '../src/demo/relay-process.ts'
import type { Sql } from '../src/demo/shop-schema.ts'
import { pause } from '../src/internal/pause.ts'
import type { Backlog } from './backlog.ts'
import { processCpuSeconds } from './process-cpu.ts'

const POLL_MS = 20
const STALL_MS = 60_000
const STOP_MS = 20_000
const never = new AbortController().signal

export interface Drain {
  readonly eventsPerSecond: number
  /** From starting the process to its first record in Kafka. */
  readonly firstPublishMs: number
  /** CPU of the relay's process from the first record to the end; null where it cannot be read. */
  readonly cpuMicrosPerEvent: number | null
}

export interface DrainOptions {
  readonly sql: Sql
  readonly admin: Admin
  readonly backlog: Backlog
  readonly env: NodeJS.ProcessEnv
}

/** Starts a relay on a filled outbox and measures it from its first record in Kafka to the empty table. */
export async function drain({ sql, admin, backlog, env }: DrainOptions): Promise<Drain> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  const launchedAtMs = performance.now()
  const relay = await RelayProcess.launch({
    command: relayCommand(),
    env: { ...env, SLUICE_RETENTION: '0' },
    logFile: join(folder, 'relay.log'),
  })
  try {
    const watch = { relay, admin, topic: backlog.topic }
    const already = await untilPublished(watch, 1)
    const firstAtMs = performance.now()
    const firstCpu = processCpuSeconds(relay.pid)
    await untilPublished(watch, backlog.events)
    while ((await countWaiting(sql, [backlog.topic])) > 0) await pause(POLL_MS, never)
    const measured = backlog.events - already
    const cpu = processCpuSeconds(relay.pid)
    return {
      eventsPerSecond: (measured * 1_000) / (performance.now() - firstAtMs),
      firstPublishMs: firstAtMs - launchedAtMs,
      cpuMicrosPerEvent:
        cpu === null || firstCpu === null ? null : ((cpu - firstCpu) * 1e6) / measured,
    }
  } finally {
    await relay.stop(STOP_MS)
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Watch {
  readonly relay: RelayProcess
  readonly admin: Admin
  readonly topic: string
}

/** @returns the records that Kafka has, at least `wanted` */
async function untilPublished({ relay, admin, topic }: Watch, wanted: number): Promise<number> {
  let most = 0
  let mostAtMs = performance.now()
  for (;;) {
    const records = await countRecords(admin, [topic])
    if (records >= wanted) return records
    if (records > most) {
      most = records
      mostAtMs = performance.now()
    }
    const stalled = performance.now() - mostAtMs > STALL_MS
    if (stalled || relay.hasEnded) {
      const what = stalled ? `made no progress for ${STALL_MS} ms` : 'ended by itself'
      throw new Error(`the relay ${what} after ${records} events:\n${relay.logTail()}`)
    }
    await pause(POLL_MS, never)
  }
}
