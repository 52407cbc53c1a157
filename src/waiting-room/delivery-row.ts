import { createHash } from 'node:crypto'
import type { Delivery, Due } from '../consumer/delivery-store.ts'
import { writableText } from './record-copy.ts'
import { headersToJson } from './task-headers.ts'

/** What names a record in the inbox and its key; in the form in which it travels inside one JSON document. */
export interface InboxRow {
  readonly message_id: string
  readonly topic: string
  readonly partition: number
  readonly offset: string
}

/** A record that becomes a task. */
export interface TaskRow extends InboxRow {
  /** Hex. */
  readonly key: string | null
  /** Base64. */
  readonly value: string | null
  readonly headers: unknown
  readonly record_ms: number
  readonly ordered: boolean
  readonly state: 'waiting' | 'behind' | 'held' | 'dead'
  readonly attempts: number
  readonly due_in_ms: number | null
  readonly due_at_ms: number | null
  readonly expires_at_ms: number | null
  readonly retry_topic: string | null
  readonly reason: string | null
}

/** What `Parking` and the state of its key make of a record. */
export interface TaskFacts {
  readonly state: TaskRow['state']
  readonly attempts?: number
  readonly due?: Due
  readonly expiresAt?: Date | null
  readonly retryTopic?: string
  readonly reason?: string
}

/** An entry of a b-tree takes 2,704 bytes at most, and the group and the topic are in it too. */
const ID_CHARS_MAX = 500
const KEY_BYTES_MAX = 2_000
const REASON_CHARS_MAX = 1_000
/** The years 1 to 9999, which all who read these times understand. */
const INSTANT_MS_MIN = -62_135_596_800_000
const INSTANT_MS_MAX = Date.UTC(9999, 11, 31)
const WAIT_MS_MAX = 100 * 366 * 86_400_000

/** The id as the inbox has it: PostgreSQL takes no NUL in a text, and no long text in an index. */
export function storedId(messageId: string): string {
  const id = writableText(messageId)
  if (id.length <= ID_CHARS_MAX) return id
  return `sha256:${createHash('sha256').update(id).digest('hex')}`
}

/**
 * The key behind which the record may have to wait, in hex; null: it waits for nothing. One of more than 2,000 bytes
 * cannot be waited behind.
 */
export function waitingKeyOf({ ordered, record: { key } }: Delivery): string | null {
  return ordered && key !== null && key.length <= KEY_BYTES_MAX ? key.toString('hex') : null
}

export function inboxRowOf({ messageId, record }: Delivery): InboxRow {
  const { topic, partition, offset } = record
  return { message_id: storedId(messageId), topic, partition, offset: String(offset) }
}

export function taskRowOf(delivery: Delivery, facts: TaskFacts): TaskRow {
  const { record } = delivery
  const { due, expiresAt = delivery.expiresAt ?? null } = facts
  return {
    ...inboxRowOf(delivery),
    key: record.key?.toString('hex') ?? null,
    value: record.value?.toString('base64') ?? null,
    headers: JSON.parse(headersToJson(record.headers)),
    record_ms: instantMs(record.timestampMs),
    ordered: waitingKeyOf(delivery) !== null,
    state: facts.state,
    attempts: facts.attempts ?? 0,
    due_in_ms: due && 'inMs' in due ? Math.min(Math.max(due.inMs, 0), WAIT_MS_MAX) : null,
    due_at_ms: due && 'at' in due ? instantMs(due.at.getTime()) : null,
    expires_at_ms: expiresAt === null ? null : instantMs(expiresAt.getTime()),
    retry_topic: facts.retryTopic ?? null,
    reason: facts.reason === undefined ? null : shortReason(facts.reason),
  }
}

export function shortReason(reason: string): string {
  return writableText(reason.slice(0, REASON_CHARS_MAX))
}

function instantMs(ms: number): number {
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, INSTANT_MS_MIN), INSTANT_MS_MAX)
}
