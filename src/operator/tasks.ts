import { keyHex } from '../waiting-room/task-filter.ts'
import type { OutboxAccess, Queries } from './outbox-access.ts'

export const TASK_STATES = ['waiting', 'behind', 'held', 'dead', 'expired', 'removed'] as const
export type TaskState = (typeof TASK_STATES)[number]

/** Which tasks to look at. Everything given must hold; null: any. */
export interface TaskListFilter {
  readonly group: string | null
  /** null: those that wait and those that died, not those that expired or were removed. */
  readonly state: TaskState | null
  readonly topic: string | null
  readonly key: string | null
}

export interface TaskListRow {
  readonly id: string
  readonly group: string
  readonly message_id: string
  readonly topic: string
  readonly partition: number
  readonly offset: string
  /** As UTF-8. */
  readonly key: string | null
  readonly state: TaskState
  /** A worker has it, until `due_at`. */
  readonly at_work: boolean
  readonly attempts: number
  readonly due_at: Date
  readonly due_in_seconds: number
  readonly created_at: Date
  /** Cut. */
  readonly reason: string | null
}

export interface TaskCount {
  readonly group: string
  readonly state: TaskState
  readonly tasks: number
}

export interface TaskList {
  /** null: counting took too long. Counted up to `TASK_COUNT_MAX`. */
  readonly counts: readonly TaskCount[] | null
  readonly capped: boolean
  readonly rows: readonly TaskListRow[]
}

export interface TaskDetail extends TaskListRow {
  readonly ordered: boolean
  readonly rev: number
  readonly headers: unknown
  readonly history: unknown
  readonly last_error: string | null
  readonly record_at: Date
  readonly changed_at: Date
  readonly expires_at: Date | null
  readonly retry_topic: string | null
  /** Tasks of its key before it. */
  readonly ahead: number
  readonly key_held_until: string | null
  readonly key_held_reason: string | null
  readonly payload_kind: 'text' | 'bytes' | 'tombstone'
  readonly payload_bytes: number
  /** The beginning of it when it was asked for: text, or base64. */
  readonly payload: string | null
}

type RawRow<T extends TaskListRow> = Omit<T, 'key'> & { readonly key: Buffer | null }

export const TASK_COUNT_MAX = 10_000
export const TASK_PAYLOAD_SHOWN_MAX = 16_384
const TEXT_SHOWN_MAX = 500

export function taskColumns(tx: Queries) {
  return tx`
    t.id::text as id, t.group_id as "group", t.message_id, t.topic, t.partition, t."offset"::text as "offset", t.key,
    t.state, (t.state = 'waiting' and t.token is not null and t.due_at > now()) as at_work, t.attempts,
    t.due_at, extract(epoch from t.due_at - now())::float8 as due_in_seconds, t.created_at,
    left(t.reason, ${TEXT_SHOWN_MAX}) as reason`
}

/** Index tasks_in_state for a group; without one the primary key is read through within the time limit. */
function listed(tx: Queries, { group, state, topic, key }: TaskListFilter) {
  const states = state === null ? TASK_STATES.slice(0, 4) : [state]
  const hex = keyHex(key ?? undefined)
  return tx`(
    (${group}::text is null or t.group_id = ${group}::text)
    and t.state = any (${`{${states.join(',')}}`}::text::text[])
    and (${topic}::text is null or t.topic = ${topic}::text)
    and (${hex}::text is null or t.key = decode(${hex}::text, 'hex'))
  )`
}

/** The longest in the room first, and how many there are by group and state. */
export async function listTasks(
  database: OutboxAccess,
  filter: TaskListFilter,
  limit: number,
): Promise<TaskList> {
  const rows = await database.read(
    'listing tasks',
    tx => tx<RawRow<TaskListRow>[]>`
      select ${taskColumns(tx)} from waiting_room.tasks t
      where ${listed(tx, filter)} order by t.id limit ${limit}`,
  )
  const counts = await database.readUnlessSlow(
    'counting tasks',
    tx => tx<TaskCount[]>`
      select found.group_id as "group", found.state, count(*)::int as tasks
      from (
        select t.group_id, t.state from waiting_room.tasks t where ${listed(tx, filter)} limit ${TASK_COUNT_MAX}
      ) found group by 1, 2 order by 1, 2`,
  )
  const total = counts?.reduce((sum, { tasks }) => sum + tasks, 0) ?? 0
  return {
    counts: counts && [...counts],
    capped: total >= TASK_COUNT_MAX,
    rows: rows.map(withKey<TaskListRow>),
  }
}

/** @param id decimal. @returns null when there is none */
export async function showTask(
  database: OutboxAccess,
  id: string,
  withPayload: boolean,
): Promise<TaskDetail | null> {
  type Raw = Omit<RawRow<TaskDetail>, 'payload' | 'payload_kind'> & { payload: Buffer | null }
  const [row] = await database.read(
    'reading the task',
    tx => tx<Raw[]>`
      select ${taskColumns(tx)}, t.reason, t.ordered, t.rev, t.headers, t.history, t.last_error, t.record_at,
        t.changed_at, t.expires_at, t.retry_topic,
        (
          select count(*)::int from (
            select from waiting_room.tasks e
            where t.ordered and e.group_id = t.group_id and e.topic = t.topic and e.key = t.key and e.id < t.id
              and e.ordered and e.state in ('waiting', 'behind', 'held') limit ${TASK_COUNT_MAX}
          ) earlier
        ) as ahead,
        k.held_until::text as key_held_until, k.held_reason as key_held_reason,
        octet_length(t.value) as payload_bytes, substring(t.value from 1 for ${TASK_PAYLOAD_SHOWN_MAX}) as payload
      from waiting_room.tasks t
      left join waiting_room.keys k
        on t.ordered and k.group_id = t.group_id and k.topic = t.topic and k.key = t.key
      where t.id = ${id}::text::bigint`,
  )
  if (!row) return null
  const { payload, payload_bytes: bytes, ...rest } = row
  const kind = payload === null ? 'tombstone' : isText(payload) ? 'text' : 'bytes'
  const shown = payload?.toString(kind === 'text' ? 'utf8' : 'base64') ?? null
  return {
    ...rest,
    key: row.key?.toString('utf8') ?? null,
    payload_kind: kind,
    payload_bytes: bytes ?? 0,
    payload: withPayload ? shown : null,
  }
}

export function withKey<T extends TaskListRow>(row: RawRow<T>): T {
  return { ...row, key: row.key?.toString('utf8') ?? null } as T
}

/** What was cut may end within a character. */
function isText(bytes: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, {
      stream: bytes.length === TASK_PAYLOAD_SHOWN_MAX,
    })
    return true
  } catch {
    return false
  }
}
