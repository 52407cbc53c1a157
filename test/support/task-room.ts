import { randomUUID } from 'node:crypto'

import { Database, type Sql } from '../../src/postgres/database.ts'
import { openTransactionPool, type TransactionPool } from '../../src/postgres/transaction-pool.ts'
import { PostgresTaskStore } from '../../src/waiting-room/postgres-task-store.ts'
import { cleanup } from './cleanup.ts'
import { applyConsumerSchema } from './consumer-schema.ts'
import { createDatabase } from './database.ts'
import type { Scope } from './parts.ts'

export const GROUP = 'orders-service'
export const TOPIC = 'orders'
export const CONTROL = 'twr-inbox'

export interface RoomParts {
  readonly url: string
  readonly sql: Sql
  readonly database: Database
  readonly pool: TransactionPool
  readonly store: PostgresTaskStore
}

/** A waiting room in a database of its own. */
export async function openRoom(
  t: Scope,
  { controlTopic = null }: { controlTopic?: string | null } = {},
): Promise<RoomParts> {
  const { url, sql } = await createDatabase(t)
  await applyConsumerSchema(sql)
  const { database, pool } = connectTo(t, url)
  const store = new PostgresTaskStore({ database, pool, group: GROUP, controlTopic })
  return { url, sql, database, pool, store }
}

/** Connections as a process of its own would have them. */
export function connectTo(t: Scope, url: string): { database: Database; pool: TransactionPool } {
  const applicationName = 'waiting room test'
  const database = new Database({
    url,
    applicationName,
    connectionsMax: 3,
    statementTimeoutMs: 20_000,
  })
  const pool = openTransactionPool({
    url,
    applicationName,
    connectionsMax: 8,
    statementTimeoutMs: 20_000,
    idleInTransactionTimeoutMs: 60_000,
  })
  cleanup(t, async () => {
    await pool.stop()
    await database.stop()
  })
  return { database, pool }
}

export interface ParkedTask {
  readonly group?: string
  readonly topic?: string
  readonly partition?: number
  readonly offset?: bigint
  readonly key?: string | null
  readonly value?: string
  readonly headers?: readonly (readonly [string, string])[]
  readonly messageId?: string
  /** Default: a key makes it so. */
  readonly ordered?: boolean
  /** From now; default 0. */
  readonly dueInMs?: number
  readonly expiresInMs?: number | null
  readonly attempts?: number
  readonly retryTopic?: string | null
}

/** Puts a task into the room as the delivery does: behind those of its key, if there are any. @returns its id */
export async function parkTask(sql: Sql, task: ParkedTask = {}): Promise<string> {
  const { group = GROUP, topic = TOPIC, partition = 0, offset = 0n, key = null } = task
  const { ordered = key !== null, messageId = randomUUID() } = task
  const {
    headers = [
      ['event_id', messageId],
      ['event_type', 'OrderPlaced'],
    ],
  } = task
  const keyBytes = key === null ? null : Buffer.from(key)
  return (await sql.begin(async tx => {
    let state = 'waiting'
    if (ordered) {
      const [row] = await tx<{ open: number }[]>`
        insert into waiting_room.keys as k (group_id, topic, key, open) values (${group}, ${topic}, ${keyBytes}, 1)
        on conflict (group_id, topic, key) do update set open = k.open + 1
        returning open`
      if (row!.open > 1) state = 'behind'
    }
    const [row] = await tx<{ id: string }[]>`
      insert into waiting_room.tasks (
        group_id, message_id, topic, partition, "offset", key, value, headers, record_at, ordered, state, attempts,
        due_at, expires_at, retry_topic
      ) values (
        ${group}, ${messageId}, ${topic}, ${partition}, ${String(offset)}::bigint, ${keyBytes},
        ${Buffer.from(task.value ?? 'value')}, ${JSON.stringify(headers)}::text::jsonb, now(), ${ordered}, ${state},
        ${task.attempts ?? 0}, now() + ${task.dueInMs ?? 0}::float8 * interval '1 ms',
        now() + ${task.expiresInMs ?? null}::float8 * interval '1 ms', ${task.retryTopic ?? null}
      ) returning id::text`
    return row!.id
  })) as string
}

export interface TaskFacts {
  readonly state: string
  readonly attempts: number
  readonly rev: number
  readonly token: string | null
  readonly due_in_ms: number
  readonly reason: string | null
  readonly last_error: string | null
  readonly history: readonly { at: string; attempt: number; reason: string }[]
}

export async function taskOf(sql: Sql, id: string): Promise<TaskFacts | undefined> {
  const [row] = await sql<TaskFacts[]>`
    select state, attempts, rev, token, reason, last_error, history,
      extract(epoch from due_at - clock_timestamp())::float8 * 1000 as due_in_ms
    from waiting_room.tasks where id = ${id}::bigint`
  return row
}

export async function keysOf(sql: Sql): Promise<Record<string, number>> {
  const rows = await sql<{ key: string; open: number }[]>`
    select convert_from(key, 'UTF8') as key, open from waiting_room.keys order by 1`
  return Object.fromEntries(rows.map(({ key, open }) => [key, open]))
}

export interface ToldEvent {
  readonly topic: string
  readonly key: string
  readonly event_type: string
  readonly payload: Record<string, unknown>
  readonly headers: Record<string, string>
}

/** What the outbox has for a topic, in order. */
export async function toldTo(sql: Sql, topic: string): Promise<ToldEvent[]> {
  const rows = await sql<ToldEvent[]>`
    select topic, key, event_type, payload, headers from outbox.events where topic = ${topic} order by id`
  return [...rows]
}
