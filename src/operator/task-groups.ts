import type { OutboxAccess, Queries } from './outbox-access.ts'

export interface GroupHold {
  readonly group: string
  /** `*`: every topic. */
  readonly topic: string
  /** -1: every partition. */
  readonly partition: number
  /** `infinity`: until resumed. */
  readonly held_until: string
  readonly reason: string
  readonly held_by: string
  readonly held_for_seconds: number
}

/** Numbers are counted up to `GROUP_COUNT_MAX`; one more says that there are more. */
export interface GroupFacts {
  readonly group: string
  readonly waiting: number
  readonly behind: number
  readonly held: number
  readonly dead: number
  readonly held_keys: number
  /** How long the first due task has been due; null: none is. */
  readonly oldest_due_seconds: number | null
  /** When the next one is due; null: none waits for a time. */
  readonly next_due_in_seconds: number | null
}

export interface TaskGroups {
  readonly groups: readonly GroupFacts[]
  readonly holds: readonly GroupHold[]
}

export const GROUP_COUNT_MAX = 10_000
const GROUPS_MAX = 1_000

/** Every group that has tasks, holds or held keys, at a cost that does not grow with the room. */
export async function readTaskGroups(database: OutboxAccess): Promise<TaskGroups> {
  const groups = await database.read('counting the tasks of the groups', selectGroups)
  const holds = await database.read('reading the holds', selectHolds)
  return { groups: [...groups], holds: [...holds] }
}

/** The holds that are in force, the longest first. */
export async function readHolds(database: OutboxAccess): Promise<readonly GroupHold[]> {
  return [...(await database.read('reading the holds', selectHolds))]
}

/** Indexes tasks_in_state, a step for each group and a bounded scan for each state, and tasks_due. */
function selectGroups(tx: Queries) {
  const most = GROUP_COUNT_MAX + 1
  return tx<GroupFacts[]>`
    with recursive named as (
      (select min(group_id) as group_id from waiting_room.tasks)
      union all
      select (select min(t.group_id) from waiting_room.tasks t where t.group_id > n.group_id) from named n
      where n.group_id is not null
    ), groups as (
      select group_id from named where group_id is not null
      union select group_id from waiting_room.holds
      union select group_id from waiting_room.keys where held_until > now()
      order by 1 limit ${GROUPS_MAX}
    )
    select g.group_id as "group", c.waiting, c.behind, c.held, c.dead, c.held_keys,
      case when d.due_at <= now() then extract(epoch from now() - d.due_at)::float8 end as oldest_due_seconds,
      case when d.due_at > now() then extract(epoch from d.due_at - now())::float8 end as next_due_in_seconds
    from groups g
    cross join lateral (
      select
        (select count(*)::int from (select from waiting_room.tasks t
          where t.group_id = g.group_id and t.state = 'waiting' limit ${most}) x) as waiting,
        (select count(*)::int from (select from waiting_room.tasks t
          where t.group_id = g.group_id and t.state = 'behind' limit ${most}) x) as behind,
        (select count(*)::int from (select from waiting_room.tasks t
          where t.group_id = g.group_id and t.state = 'held' limit ${most}) x) as held,
        (select count(*)::int from (select from waiting_room.tasks t
          where t.group_id = g.group_id and t.state = 'dead' limit ${most}) x) as dead,
        (select count(*)::int from (select from waiting_room.keys k
          where k.group_id = g.group_id and k.held_until > now() limit ${most}) x) as held_keys
    ) c
    left join lateral (
      select t.due_at from waiting_room.tasks t
      where t.group_id = g.group_id and t.state = 'waiting' order by t.due_at limit 1
    ) d on true
    order by g.group_id`
}

function selectHolds(tx: Queries) {
  return tx<GroupHold[]>`
    select group_id as "group", topic, partition, held_until::text as held_until, reason, held_by,
      extract(epoch from now() - held_at)::float8 as held_for_seconds
    from waiting_room.holds where held_until > now() order by held_at, group_id, topic, partition limit 1000`
}
