import type { Sql } from '../src/demo/shop-schema.ts'

export interface Room {
  readonly group: string
  readonly tasks: number
  /** Of each, the first task waits for its time and the second behind it; the other tasks have no order. */
  readonly keys: number
}

/** Where the tasks come from; those with an even number are of the first. */
export const TOPICS = ['room-even', 'room-odd'] as const
export const PARTITIONS = 12
/** One task of so many is due at once, the others within the hour. */
const DUE_ONE_OF = 10
const STATEMENT_TASKS = 100_000

export function keyOf(n: number): string {
  return `key-${n}`
}

/** Tasks as records of 500 bytes leave them, and their keys. */
export async function fillRoom(sql: Sql, room: Room): Promise<void> {
  const { group, tasks, keys } = room
  for (let from = 0; from < tasks; from += STATEMENT_TASKS) {
    await sql`
      insert into waiting_room.tasks (
        group_id, message_id, topic, partition, "offset", key, value, headers, record_at, ordered, state, due_at
      )
      select ${group}, 'task-' || n, case n % ${keys}::int % 2 when 0 then ${TOPICS[0]} else ${TOPICS[1]} end,
        n % ${keys}::int % ${PARTITIONS}::int, n, convert_to('key-' || n % ${keys}::int, 'UTF8'),
        convert_to('{"n":' || n || ',"pad":"' || repeat('x', 470) || '"}', 'UTF8'),
        jsonb_build_array(
          jsonb_build_array('event_id', 'task-' || n), jsonb_build_array('event_type', 'BenchEvent')
        ),
        now(), n < 2 * ${keys}::int,
        case when n >= ${keys}::int and n < 2 * ${keys}::int then 'behind' else 'waiting' end,
        case
          when hashint4(n) % ${DUE_ONE_OF}::int = 0 then now() - random() * interval '1 minute'
          else now() + interval '3 minutes' + random() * interval '1 hour'
        end
      from generate_series(${from}::int, ${Math.min(from + STATEMENT_TASKS, tasks) - 1}::int) n`
  }
  await sql`
    insert into waiting_room.keys (group_id, topic, key, open)
    select group_id, topic, key, count(*) from waiting_room.tasks where ordered group by 1, 2, 3`
  await sql`vacuum analyze waiting_room.tasks, waiting_room.keys`
}
