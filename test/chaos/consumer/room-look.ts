import type postgres from 'postgres'

export interface BrokenKey {
  readonly group_id: string
  readonly what: string
}

/**
 * What contradicts itself in the waiting room, in one snapshot: at every commit a key counts its open tasks, has one
 * of them in front, and every ordered task has its key.
 */
export async function brokenKeys(sql: postgres.Sql, prefix: string): Promise<BrokenKey[]> {
  return sql<BrokenKey[]>`
    with counted as (
      select t.group_id, t.topic, t.key, count(*) as open,
        count(*) filter (where t.state in ('waiting', 'held')) as heads
      from waiting_room.tasks t
      where t.ordered and t.key is not null and t.state in ('waiting', 'behind', 'held')
      group by 1, 2, 3
    )
    select coalesce(k.group_id, c.group_id) as group_id,
      format('%s %s: row %s, tasks %s, heads %s', coalesce(k.topic, c.topic),
        encode(coalesce(k.key, c.key), 'escape'), k.open, c.open, c.heads) as what
    from waiting_room.keys k
    full join counted c on c.group_id = k.group_id and c.topic = k.topic and c.key = k.key
    where coalesce(k.group_id, c.group_id) like ${`${prefix}%`}
      and (k.open is distinct from coalesce(c.open, 0) or (c.open > 0 and c.heads <> 1))`
}

/** Tasks that still have a way to go. */
export async function openTasks(sql: postgres.Sql): Promise<number> {
  const [row] = await sql<{ open: number }[]>`
    select count(*)::int as open from waiting_room.tasks
    where state in ('waiting', 'behind', 'held')`
  return row?.open ?? 0
}
