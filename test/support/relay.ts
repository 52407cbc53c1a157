import type { TestContext } from 'node:test'
import { createOutbox, type Outbox, type OutboxSettings } from '../../src/create-outbox.ts'
import type { RelayEvent } from '../../src/events.ts'
import type { Options } from '../../src/options.ts'
import { cleanup } from './cleanup.ts'

export interface TestRelay extends Outbox {
  /** Everything the relay has told, in order. */
  readonly told: RelayEvent[]
}

/** Options for tests: short waits, so that what must happen happens soon. */
export function testOptions(databaseUrl: string, more: Partial<Options> = {}): Partial<Options> {
  return {
    databaseUrl,
    kafka: { client: 'kafkajs', brokers: brokers(), clientId: 'sluice-test' },
    workers: 1,
    slots: 2,
    pollMs: 20,
    reserveMs: 4_000,
    publishTimeoutMs: 2_000,
    retentionMs: 0,
    retryBaseMs: 20,
    retryMaxMs: 100,
    breakerResetMs: 200,
    http: null,
    ...more,
  }
}

/** A relay on the real parts, stopped after the test. */
export async function startRelay(
  t: TestContext,
  databaseUrl: string,
  more: Partial<Options> = {},
  settings: Partial<OutboxSettings> = {},
): Promise<TestRelay> {
  const told: RelayEvent[] = []
  const config = testOptions(databaseUrl, more)
  const outbox = createOutbox({ ...settings, config, listeners: [event => told.push(event)] })
  cleanup(t, () => outbox.stop())
  await outbox.start()
  return Object.assign(outbox, { told })
}

export function brokers(): string[] {
  const list = process.env.KAFKA_BROKERS
  if (!list) throw new Error('KAFKA_BROKERS is not set: run the tests by ./test.sh or npm test')
  return list.split(',')
}
