import assert from 'node:assert/strict'
import type { Sql } from '../../src/postgres/database.ts'

export interface SampleTask {
  readonly group: string
  readonly messageId: string
  readonly topic: string
  readonly key: string | null
  readonly ordered: boolean
  readonly state: 'waiting' | 'behind' | 'held' | 'dead' | 'expired' | 'removed'
  readonly attempts: number
  readonly dueInSeconds: number
  readonly reason: string | null
  readonly value: string
}

const DEFAULTS: Omit<SampleTask, 'messageId'> = {
  group: 'billing',
  topic: 'orders',
  key: 'k',
  ordered: true,
  state: 'waiting',
  attempts: 1,
  dueInSeconds: 3_600,
  reason: null,
  value: '{"n":1}',
}

/** Puts tasks into the room as they are given, and counts them into their keys. @returns their ids */
export async function addTasks(
  sql: Sql,
  tasks: readonly (Partial<SampleTask> & { readonly messageId: string })[],
): Promise<string[]> {
  const whole = tasks.map(task => ({ ...DEFAULTS, ...task }))
  const rows = await sql<{ id: string }[]>`
    insert into waiting_room.tasks (
      group_id, message_id, topic, partition, "offset", key, value, record_at, ordered, state, attempts, due_at, reason
    )
    select g."group", g."messageId", g.topic, 0, ord, convert_to(g.key, 'utf8'), convert_to(g.value, 'utf8'),
      now() - interval '1 minute', g.ordered and g.key is not null, g.state, g.attempts,
      now() + g."dueInSeconds" * interval '1 second', g.reason
    from rows from (jsonb_to_recordset(${JSON.stringify(whole)}::text::jsonb) as (
      "group" text, "messageId" text, topic text, key text, ordered boolean, state text, attempts int,
      "dueInSeconds" float8, reason text, value text
    )) with ordinality as g (
      "group", "messageId", topic, key, ordered, state, attempts, "dueInSeconds", reason, value, ord
    ) order by ord
    returning id::text as id`
  await sql`
    insert into waiting_room.keys (group_id, topic, key, open)
    select group_id, topic, key, count(*) from waiting_room.tasks
    where ordered and state in ('waiting', 'behind', 'held') group by 1, 2, 3
    on conflict (group_id, topic, key) do update set open = excluded.open`
  return rows.map(({ id }) => id)
}

/** What must hold of every key whenever no transaction is open. */
export async function assertKeysWhole(sql: Sql): Promise<void> {
  const wrong = await sql`
    select coalesce(k.group_id, o.group_id) as group_id, coalesce(k.topic, o.topic) as topic,
      convert_from(coalesce(k.key, o.key), 'utf8') as key, k.open, k.held_until, o.open as tasks, o.heads, o.held
    from waiting_room.keys k
    full join (
      select group_id, topic, key, count(*) as open,
        count(*) filter (where state <> 'behind') as heads, count(*) filter (where state = 'held') as held
      from waiting_room.tasks where ordered and state in ('waiting', 'behind', 'held') group by 1, 2, 3
    ) o using (group_id, topic, key)
    where k.open is distinct from coalesce(o.open, 0)
      or (o.open > 0 and o.heads <> 1)
      or (coalesce(o.open, 0) = 0 and k.held_until is null)`
  assert.deepEqual([...wrong], [])
}
