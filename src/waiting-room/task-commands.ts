import { writeAudit } from '../operator/audit.ts'
import type { Queries } from '../operator/outbox-access.ts'
import type { TaskCommand, TaskFilter } from './control-event.ts'
import { holdKey, holdReading, resumeKey, resumeReading } from './key-holds.ts'
import { type KeyName, type KeyScope, lockKeys, settleKeys } from './settle-keys.ts'
import { checkCommand, matching } from './task-filter.ts'

/** Tasks that one statement changes at most. */
const STEP_TASKS_MAX = 1_000

/** In which states a command changes a task, and for which of them it changes what their key's row says. */
const AFFECTED = {
  release: { states: ['waiting', 'held', 'dead'], ofKey: ['dead'] },
  remove: { states: ['waiting', 'behind', 'held', 'dead'], ofKey: ['waiting', 'behind', 'held'] },
} as const

type Move = keyof typeof AFFECTED

type MoveCommand = Extract<TaskCommand, { filter: TaskFilter }>
type HoldCommand = Exclude<TaskCommand, MoveCommand>

/**
 * Does what an operator, or whoever wrote to the control topic, wants of a group's waiting room, and writes the control
 * events and the audit in the same transaction.
 *
 * `release` makes waiting and held tasks due now, and dead ones part of their key's order again, with no attempt spent;
 * one behind others stays there, and one that a worker has goes on until its lease is over. `remove` ends tasks, also
 * one that a worker has: its end is refused then. `pause` and `resume` mean a waiting key, or what is read at all.
 *
 * @param tx open, read committed; locks of waiting keys are taken in order, before those of tasks
 * @param controlTopic null: nobody is told
 * @returns tasks changed; for `pause` and `resume` 1 or 0: whether that target was or is held
 * @throws SluiceError `options`: a command that means nothing; what PostgreSQL throws is passed on
 */
export async function applyCommand(
  tx: Queries,
  group: string,
  command: TaskCommand,
  controlTopic: string | null,
): Promise<number> {
  checkCommand(command)
  const scope = { group, controlTopic }
  switch (command.type) {
    case 'twr.command.release':
      return moveTasks(tx, scope, 'release', command)
    case 'twr.command.remove':
      return moveTasks(tx, scope, 'remove', command)
    case 'twr.command.pause':
    case 'twr.command.resume':
      return changeHold(tx, scope, command)
  }
}

/**
 * The condition of the tasks, as `waiting_room.tasks t`, that a release or a removal changes.
 * Whether a worker has one may change until it is done.
 */
export function movable(tx: Queries, group: string, move: Move, filter: TaskFilter) {
  return tx`(
    ${matching(tx, group, filter)}
    and t.state = any (${`{${AFFECTED[move].states.join(',')}}`}::text::text[])
    and (${move === 'remove'} or t.state <> 'waiting' or t.token is null or t.due_at <= now())
  )`
}

interface Picked {
  readonly id: string
  readonly topic: string
  /** Hex; null: it takes no part in its key's order. */
  readonly key: string | null
}

async function moveTasks(
  tx: Queries,
  scope: KeyScope,
  move: Move,
  { filter, actor, reason }: MoveCommand,
): Promise<number> {
  const keys = new TouchedKeys(tx, scope)
  let moved = 0
  for (let afterId = '0'; ; ) {
    const picked = await pick(tx, scope.group, { move, filter, afterId })
    const isFull = picked.length === STEP_TASKS_MAX
    // Steps go by id, not by key: with several of them the order of locks is kept by taking all of them at first.
    if (isFull && afterId === '0') await lockAllKeys(tx, scope.group, move, filter)
    await keys.lock(picked)
    const ids = await (move === 'release' ? release : remove)(tx, scope, picked, reason)
    if (ids.length > 0) {
      const subject = { group: scope.group, filter: writable(filter), tasks: ids }
      await writeAudit(tx, { actor, reason }, { action: `task.${move}`, subject, rows: ids.length })
    }
    moved += ids.length
    if (!isFull) break
    afterId = picked.at(-1)?.id ?? afterId
  }
  await keys.settle()
  return moved
}

/**
 * Keys that are settled once all steps are done: no step finds in another state what an earlier one has changed, and a
 * key whose tasks all go needs no new head in between.
 */
class TouchedKeys {
  readonly #tx: Queries
  readonly #scope: KeyScope
  readonly #keys = new Map<string, KeyName>()

  constructor(tx: Queries, scope: KeyScope) {
    this.#tx = tx
    this.#scope = scope
  }

  async lock(picked: readonly Picked[]): Promise<void> {
    const added: KeyName[] = []
    for (const { topic, key } of picked) {
      const name = `${topic} ${key}`
      if (key === null || this.#keys.has(name)) continue
      this.#keys.set(name, { topic, key })
      added.push({ topic, key })
    }
    await lockKeys(this.#tx, this.#scope.group, added)
  }

  async settle(): Promise<void> {
    const keys = [...this.#keys.values()]
    for (let at = 0; at < keys.length; at += STEP_TASKS_MAX) {
      await settleKeys(this.#tx, this.#scope, keys.slice(at, at + STEP_TASKS_MAX))
    }
  }
}

async function pick(
  tx: Queries,
  group: string,
  { move, filter, afterId }: { move: Move; filter: TaskFilter; afterId: string },
): Promise<readonly Picked[]> {
  const ofKey = `{${AFFECTED[move].ofKey.join(',')}}`
  return tx<Picked[]>`
    select t.id::text as id, t.topic,
      case when t.ordered and t.state = any (${ofKey}::text::text[]) then encode(t.key, 'hex') end as key
    from waiting_room.tasks t
    where t.id > ${afterId}::text::bigint and ${movable(tx, group, move, filter)}
    order by t.id limit ${STEP_TASKS_MAX}`
}

async function lockAllKeys(
  tx: Queries,
  group: string,
  move: Move,
  filter: TaskFilter,
): Promise<void> {
  await tx`
    insert into waiting_room.keys as k (group_id, topic, key, open)
    select distinct t.group_id, t.topic, t.key, 0 from waiting_room.tasks t
    where ${movable(tx, group, move, filter)} and t.ordered and t.key is not null
      and t.state = any (${`{${AFFECTED[move].ofKey.join(',')}}`}::text::text[])
    order by 2, 3
    on conflict (group_id, topic, key) do update set open = k.open`
}

/** What died meanwhile, and has a key whose row is not locked, is left alone. @returns ids of the tasks changed */
async function release(
  tx: Queries,
  { controlTopic }: KeyScope,
  picked: readonly Picked[],
): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    with picked as (
      select t.id, t.state as was from waiting_room.tasks t
      join jsonb_to_recordset(${JSON.stringify(picked)}::text::jsonb) as g (id bigint, key text) on t.id = g.id
      where t.state = 'held' or (t.state = 'waiting' and (t.token is null or t.due_at <= now()))
        or (t.state = 'dead' and (g.key is not null or not t.ordered))
      order by t.id for update of t
    ), changed as (
      update waiting_room.tasks t set
        state = case when p.was = 'dead' and t.ordered then 'behind' else 'waiting' end,
        attempts = case when p.was = 'dead' then 0 else t.attempts end,
        due_at = case when p.was = 'waiting' then least(t.due_at, now()) else now() end,
        token = null, reason = null, rev = t.rev + 1, changed_at = now()
      from picked p where t.id = p.id
      returning t as task, p.was
    )
    select (task).id::text as id, waiting_room.announce(
      ${controlTopic}, case when was = 'dead' then 'twr.replayed' else 'twr.resumed' end, task
    ) from changed order by (task).id`
  return rows.map(({ id }) => id)
}

/** One that became part of its key's order meanwhile is left alone, as above. @returns ids of the tasks changed */
async function remove(
  tx: Queries,
  { controlTopic }: KeyScope,
  picked: readonly Picked[],
  reason: string,
): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    with picked as (
      select t.id from waiting_room.tasks t
      join jsonb_to_recordset(${JSON.stringify(picked)}::text::jsonb) as g (id bigint, key text) on t.id = g.id
      where t.state = 'dead'
        or (t.state in ('waiting', 'behind', 'held') and (g.key is not null or not t.ordered))
      order by t.id for update of t
    ), changed as (
      update waiting_room.tasks t set
        state = 'removed', token = null, reason = ${reason}, rev = t.rev + 1, changed_at = now()
      from picked p where t.id = p.id
      returning t as task
    )
    select (task).id::text as id, waiting_room.announce(${controlTopic}, 'twr.removed', task)
    from changed order by (task).id`
  return rows.map(({ id }) => id)
}

async function changeHold(tx: Queries, scope: KeyScope, command: HoldCommand): Promise<number> {
  const { target, actor, reason } = command
  const { topic, key } = target
  const isKey = topic !== undefined && key !== undefined
  const pauses = command.type === 'twr.command.pause'
  const until = (pauses && command.until) || null
  const hold = { until, reason, actor }
  let rows: number
  if (pauses && isKey) rows = await holdKey(tx, scope, { topic, key }, hold)
  else if (isKey) rows = await resumeKey(tx, scope, { topic, key })
  else if (pauses) rows = await holdReading(tx, scope.group, target, hold)
  else rows = await resumeReading(tx, scope.group, target)
  if (rows > 0) {
    const subject = { group: scope.group, ...writable(target), ...(pauses && { until }) }
    await writeAudit(
      tx,
      { actor, reason },
      { action: pauses ? 'task.pause' : 'task.resume', subject, rows },
    )
  }
  return rows
}

/** jsonb takes no U+0000, which a key may hold. */
function writable<T extends { readonly key?: string }>(given: T): T {
  return given.key === undefined ? given : { ...given, key: given.key.replaceAll('\0', '\ufffd') }
}
