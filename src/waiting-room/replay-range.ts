import { randomBytes } from 'node:crypto'
import type { ReplayQuery, ReplayReport } from '../consumer/bus.ts'
import type { DeliveryStore } from '../consumer/delivery-store.ts'
import type { SourceRecord } from '../consumer/message.ts'
import type { MessageHandling } from '../consumer/message-handling.ts'
import { SluiceError } from '../errors.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import { shapeOf } from '../outbox/new-event.ts'

/** PORT: the records of a topic between two places, partition after partition, each in offset order. */
export type ReadRange = (query: ReplayQuery) => AsyncIterable<SourceRecord>

export interface ReplayParts {
  readonly topics: readonly string[]
  readonly readRange: ReadRange
  readonly store: Pick<DeliveryStore, 'park'>
  readonly handling: Pick<MessageHandling, 'read'>
  /** Something waits that did not before. */
  readonly parked: () => void
  /** Aborted when the subscription stops: the replay ends early. */
  readonly signal: AbortSignal
}

const RATE_PER_SECOND = 1_000

/**
 * Puts records that lie in Kafka into the waiting room, as tasks with ids of their own: the inbox does not know these,
 * and they queue up in their key's order behind what waits already. No offset is moved.
 *
 * @throws SluiceError `options`: a query that means nothing; `broker`, `database`
 */
export async function replayRange(parts: ReplayParts, query: ReplayQuery): Promise<ReplayReport> {
  checkQuery(query, parts.topics)
  const replay = `replay-${randomBytes(4).toString('hex')}`
  const { ratePerSecond = RATE_PER_SECOND, dryRun, key } = query
  const startMs = monotonicMs()
  let matched = 0
  let enqueued = 0
  for await (const record of parts.readRange(query)) {
    if (parts.signal.aborted) break
    if (key !== undefined && record.key?.toString() !== key) continue
    matched += 1
    if (dryRun) continue
    const { delivery } = parts.handling.read(record)
    const own = { ...delivery, expiresAt: null, messageId: `${delivery.messageId}~${replay}` }
    await parts.store.park(own, { kind: 'delay', due: { inMs: 0 } }, { expiresAt: null })
    enqueued += 1
    parts.parked()
    await pause(startMs + (enqueued / ratePerSecond) * 1_000 - monotonicMs(), parts.signal)
  }
  return { matched, enqueued }
}

function checkQuery(query: ReplayQuery, topics: readonly string[]): void {
  if (!topics.includes(query.topic)) {
    refuse('topic', query.topic, `one of the subscription's: ${topics.join(', ')}`)
  }
  if ((query.fromOffset === undefined) === (query.fromTime === undefined)) {
    throw new SluiceError('options', 'give fromOffset or fromTime, one of them')
  }
  if (query.toOffset !== undefined && query.toTime !== undefined) {
    throw new SluiceError('options', 'give toOffset or toTime, not both')
  }
  if (query.ratePerSecond !== undefined && !(query.ratePerSecond > 0)) {
    refuse('ratePerSecond', query.ratePerSecond, 'a number above 0')
  }
}

function refuse(field: string, value: unknown, cure: string): never {
  throw new SluiceError('options', `${field} is ${shapeOf(value)}: give ${cure}`)
}
