import type { TaskCommand, TaskFilter } from '../waiting-room/control-event.ts'
import { applyCommand, movable } from '../waiting-room/task-commands.ts'
import { matching } from '../waiting-room/task-filter.ts'
import type { OutboxAccess } from './outbox-access.ts'
import {
  TASK_COUNT_MAX,
  type TaskCount,
  type TaskListRow,
  type TaskState,
  taskColumns,
  withKey,
} from './tasks.ts'

/** What a release or a removal is about to touch. */
export interface TaskPlan {
  /** Tasks that would change, counted up to `TASK_COUNT_MAX`. */
  readonly matching: number
  readonly capped: boolean
  readonly counts: readonly TaskCount[]
  /** Matching ones that would stay as they are: behind others, at work, or ended. */
  readonly unchanged: readonly { readonly state: TaskState | 'at work'; readonly tasks: number }[]
  readonly rows: readonly TaskListRow[]
}

export interface Placement {
  readonly controlTopic: string
  /** The command goes to the control topic through the outbox, and whoever reads it there applies it. */
  readonly viaTopic: boolean
}

const FIRST_ROWS = 5

export async function planMove(
  database: OutboxAccess,
  group: string,
  move: 'release' | 'remove',
  filter: TaskFilter,
): Promise<TaskPlan> {
  return database.read('looking at the tasks', async tx => {
    const counts = await tx<TaskCount[]>`
      select ${group} as "group", found.state, count(*)::int as tasks
      from (
        select t.state from waiting_room.tasks t where ${movable(tx, group, move, filter)} limit ${TASK_COUNT_MAX}
      ) found group by found.state order by found.state`
    const unchanged = await tx<TaskPlan['unchanged'][number][]>`
      select found.state, count(*)::int as tasks
      from (
        select case when t.state = 'waiting' then 'at work' else t.state end as state from waiting_room.tasks t
        where ${matching(tx, group, filter)} and not ${movable(tx, group, move, filter)} limit ${TASK_COUNT_MAX}
      ) found group by found.state order by found.state`
    const rows = await tx<(Omit<TaskListRow, 'key'> & { key: Buffer | null })[]>`
      select ${taskColumns(tx)} from waiting_room.tasks t where ${movable(tx, group, move, filter)}
      order by t.id limit ${FIRST_ROWS}`
    const total = counts.reduce((sum, { tasks }) => sum + tasks, 0)
    return {
      matching: total,
      capped: total >= TASK_COUNT_MAX,
      counts: [...counts],
      unchanged: [...unchanged],
      rows: rows.map(withKey<TaskListRow>),
    }
  })
}

/** The group of each of these tasks; ids that name none are left out. @param ids decimal */
export async function groupsOf(
  database: OutboxAccess,
  ids: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const rows = await database.read(
    'looking the tasks up',
    tx => tx<{ id: string; group: string }[]>`
      select id::text as id, group_id as "group" from waiting_room.tasks
      where id = any (${`{${ids.join(',')}}`}::text::bigint[])`,
  )
  return new Map(rows.map(row => [row.id, row.group]))
}

/** Which of these message ids the group has tasks for. */
export async function knownMessages(
  database: OutboxAccess,
  group: string,
  messageIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await database.read(
    'looking the tasks up',
    tx => tx<{ message_id: string }[]>`
      select t.message_id from waiting_room.tasks t where ${matching(tx, group, { messageIds })}`,
  )
  return new Set(rows.map(row => row.message_id))
}

/**
 * Applies the commands, one for each group, in one transaction, or sends them through the outbox.
 * @returns tasks or holds changed; 0 when they were sent
 */
export async function giveCommands(
  database: OutboxAccess,
  commands: ReadonlyMap<string, TaskCommand>,
  { controlTopic, viaTopic }: Placement,
): Promise<number> {
  return database.write('changing the waiting room', async tx => {
    let changed = 0
    for (const [group, command] of commands) {
      if (!viaTopic) {
        changed += await applyCommand(tx, group, command, controlTopic)
        continue
      }
      await tx`
        insert into outbox.events (topic, key, event_type, payload, headers)
        values (${controlTopic}, ${keyOf(group, command)}, ${command.type}, ${JSON.stringify(command)}::text::json,
          jsonb_build_object('twr-group', ${group}::text))`
    }
    return changed
  })
}

/** That of the waiting key where a command concerns one, so that it stays in order with the key's events. */
function keyOf(group: string, command: TaskCommand): string {
  if (!('target' in command)) return group
  const { topic, key } = command.target
  return topic === undefined || key === undefined ? group : `${group}/${topic}/${key}`
}
