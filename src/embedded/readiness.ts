import { describeError, SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import { openKafka } from '../kafka/connection.ts'
import { withConnection } from '../postgres/short-connection.ts'
import type { PartProcess } from './part-process.ts'

const PROBE_TIMEOUT_MS = 5_000
const PROBE_PAUSE_MS = 50
const CLOSE_TIMEOUT_MS = 2_000

/**
 * Repeats a probe until it passes.
 * @param part its end ends the waiting
 * @throws SluiceError `lifecycle` with the last lines of the part's log
 */
export async function awaitProbe(
  probe: () => Promise<void>,
  options: {
    readonly part: Pick<PartProcess, 'end' | 'failure'>
    readonly timeoutMs: number
    readonly signal: AbortSignal
  },
): Promise<void> {
  const { part, timeoutMs, signal } = options
  const deadlineMs = monotonicMs() + timeoutMs
  for (;;) {
    signal.throwIfAborted()
    if (part.end !== undefined) throw part.failure(`ended with ${part.end} while starting`)
    const refusal = await withDeadline(
      probe(),
      PROBE_TIMEOUT_MS,
      () => new Error('no answer'),
    ).then(
      () => undefined,
      (error: unknown) => describeError(error),
    )
    if (refusal === undefined) return
    if (monotonicMs() > deadlineMs) {
      throw part.failure(`did not answer within ${timeoutMs} ms (${refusal})`)
    }
    await pause(PROBE_PAUSE_MS, signal)
  }
}

/** Rejects unless PostgreSQL answers a query. */
export async function probePostgres(databaseUrl: string): Promise<void> {
  await withConnection(databaseUrl, 'sluice parts', async sql => {
    await sql`select 1`
  })
}

/**
 * Rejects unless a broker answers, the cluster has a controller, and consumer groups can be joined.
 * @param expectedId refuses any other cluster: a stranger may listen where ours could not
 */
export async function probeKafka(broker: string, expectedId?: string): Promise<void> {
  const kafka = openKafka({ brokers: [broker], clientId: 'sluice-parts' }, PROBE_TIMEOUT_MS)
  const admin = kafka.admin()
  try {
    await admin.connect()
    const { brokers, controller, clusterId } = await admin.describeCluster()
    if (expectedId !== undefined && clusterId !== expectedId) {
      throw new SluiceError('broker', 'another cluster answers at this address')
    }
    if (brokers.length === 0 || controller === null) {
      throw new SluiceError('broker', 'the cluster has no broker yet')
    }
    // The first question about a group makes the broker create and load its topic of offsets, which takes a while.
    await admin.fetchOffsets({ groupId: 'sluice-parts', topics: [] })
  } finally {
    await withDeadline(admin.disconnect(), CLOSE_TIMEOUT_MS, () => new Error('too slow')).catch(
      () => {},
    )
  }
}
