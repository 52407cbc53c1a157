import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import type { RelayEvent } from '../../src/events.ts'
import type { Reservation } from '../../src/outbox/adapter.ts'
import { PostgresAdapter } from '../../src/outbox/postgres-adapter.ts'
import { Database } from '../../src/postgres/database.ts'
import { cleanup } from './cleanup.ts'
import { until } from './until.ts'

export interface TestAdapter {
  readonly adapter: PostgresAdapter
  readonly replica: string
  readonly told: RelayEvent[]
  /** Lanes it holds, by what it has told. */
  holding(): number
  /** The next reservation that is not empty, within ten seconds. */
  reserve(limit?: number): Promise<Reservation>
  /** Cuts it off from the database without a farewell, as a kill would. */
  kill(): Promise<void>
}

export interface AdapterSettings {
  readonly reserveMs?: number
  readonly retentionMs?: number
  readonly deadLetterTopic?: string | null
}

/** A replica's adapter on a migrated database; ended after the test. */
export function openAdapter(
  t: TestContext,
  url: string,
  { reserveMs = 2_000, retentionMs = 0, deadLetterTopic = null }: AdapterSettings = {},
): TestAdapter {
  const told: RelayEvent[] = []
  const replica = `test-${randomUUID().slice(0, 8)}`
  const database = new Database({
    url,
    applicationName: replica,
    connectionsMax: 4,
    statementTimeoutMs: 5_000,
  })
  const adapter = new PostgresAdapter({
    database,
    identity: { replica, host: 'test', version: '0' },
    reserveMs,
    retentionMs,
    deadLetterTopic,
    emit: event => told.push(event),
  })
  let killed = false
  cleanup(t, async () => {
    // A killed one cannot say farewell, but its loop must end.
    await adapter.stop().catch(error => {
      if (!killed) throw error
    })
    await database.stop()
  })
  return {
    adapter,
    replica,
    told,
    holding: () => holdingOf(told),
    reserve: async (limit = 1_000) => {
      let reservation: Reservation | null = null
      const options = { exceptTopics: [], bytesMax: 8_000_000 }
      await until(
        async () => {
          reservation = await adapter.reserveNewEvents(limit, reserveMs, options)
          return reservation !== null
        },
        { deadlineMs: 10_000, what: 'a reservation is not empty' },
      )
      return reservation as unknown as Reservation
    },
    kill: async () => {
      killed = true
      await database.stop()
    },
  }
}

function holdingOf(told: readonly RelayEvent[]): number {
  const last = told.findLast(e => e.kind === 'lanes_leased' || e.kind === 'lanes_given_up')
  return last !== undefined && 'holding' in last ? last.holding : 0
}
