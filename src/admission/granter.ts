import type { BatchHandler, BatchOptions, SubscribeOptions } from '../consumer/bus.ts'
import { jsonCodec } from '../consumer/codecs.ts'
import type { Message } from '../consumer/message.ts'
import { BadMessage } from '../consumer/outcome.ts'
import { type TurnReport, takeTurn } from './room-turn.ts'
import type { JoinRecord } from './topics.ts'
import type { NumberedJoin } from './turn-statements.ts'

/** Joins of one transaction, at most. */
const JOINS_AT_ONCE_MAX = 500

/**
 * The group that gives places: joins are numbered in the order of the log, and whoever fits in is let in, in the same
 * transaction. The number itself remembers the join, since it is given once: reading the topic again changes nothing.
 */
export function granterOptions(
  group: string,
  joinsTopic: string,
): SubscribeOptions<JoinRecord> & BatchOptions {
  return {
    group,
    topics: [joinsTopic],
    codec: jsonCodec(joinOf),
    order: 'key',
    dedup: 'none',
    batchSize: JOINS_AT_ONCE_MAX,
    // A join that was given up would be a visitor who waits for ever.
    attemptsMax: 1_000_000,
    retry: { baseMs: 100, maxMs: 5_000 },
  }
}

/**
 * @param changesTopic where grants are told; null: nowhere
 * @param onTurn told before the turn is committed
 */
export function joinsHandler(
  changesTopic: string | null,
  onTurn: (eventId: string, report: TurnReport) => void,
): BatchHandler<JoinRecord> {
  return async (messages, { sql }) => {
    const rooms = new Map<string, NumberedJoin[]>()
    for (const message of messages) {
      const { eventId } = message.value
      const joins = rooms.get(eventId)
      if (joins) joins.push(placeInLog(message))
      else rooms.set(eventId, [placeInLog(message)])
    }
    // In the order of their ids, as everyone who takes several rooms' turns in one transaction.
    for (const [eventId, joins] of [...rooms].sort(([a], [b]) => (a < b ? -1 : 1))) {
      onTurn(eventId, await takeTurn(sql, eventId, { joins, changesTopic }))
    }
  }
}

function placeInLog({ value, partition, offset }: Message<JoinRecord>): NumberedJoin {
  return { sessionId: value.sessionId, partition, offset }
}

function joinOf(value: unknown): JoinRecord {
  const { sessionId, eventId, userId } = (value ?? {}) as Record<string, unknown>
  const isText = (given: unknown): given is string => typeof given === 'string' && given !== ''
  if (isText(sessionId) && isText(eventId) && isText(userId)) return { sessionId, eventId, userId }
  throw new BadMessage('a join must be an object with texts sessionId, eventId and userId')
}
