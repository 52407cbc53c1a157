import type { RecordHeader } from '../consumer/message.ts'
import { headersFromJson } from './task-headers.ts'
import type { ClaimedTask } from './task-store.ts'

/** A claimed task as the database gives it. */
export interface TaskRow {
  readonly id: string
  readonly token: string
  readonly message_id: string
  readonly topic: string
  readonly partition: number
  readonly offset: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: unknown
  readonly record_ms: number
  readonly ordered: boolean
  readonly attempts: number
  readonly expires_in_ms: number | null
  readonly retry_topic: string | null
  readonly late_ms: number
}

/**
 * @param nowMs this process's clock when the row came. Its expiry is given on that clock, so that comparing the two
 *   says what the database's clock would, however wrong ours is.
 */
export function toClaimedTask(row: TaskRow, nowMs: number): ClaimedTask {
  return {
    id: row.id,
    token: row.token,
    messageId: row.message_id,
    record: {
      topic: row.topic,
      partition: row.partition,
      offset: BigInt(row.offset),
      key: row.key,
      value: row.value,
      headers: headersOf(row.headers),
      timestampMs: Math.round(row.record_ms),
    },
    ordered: row.ordered,
    attempts: row.attempts,
    expiresAt: row.expires_in_ms === null ? null : new Date(nowMs + row.expires_in_ms),
    retryTopic: row.retry_topic,
    lateMs: Math.max(0, row.late_ms),
  }
}

/** What cannot be read counts as none: the record is then bad, instead of keeping every claim from succeeding. */
function headersOf(json: unknown): RecordHeader[] {
  try {
    return headersFromJson(json)
  } catch {
    return []
  }
}
