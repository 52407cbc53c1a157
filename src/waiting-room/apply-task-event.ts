import type { Tx } from '../consumer/tx.ts'
import type { TaskEvent } from './control-event.ts'
import { type KeyScope, lockKeys, settleKeys } from './settle-keys.ts'

interface Known {
  readonly id: string
  readonly topic: string
  /** Hex; null: it takes no part in its key's order. */
  readonly key: string | null
}

interface Change {
  readonly from: readonly ('waiting' | 'behind' | 'held')[]
  readonly to: 'waiting' | 'held' | 'dead' | 'expired' | 'removed'
}

const OPEN = ['waiting', 'behind', 'held'] as const

/** What an event that someone else wrote can change. Whatever is not here is told by the kit alone. */
const CHANGES: Partial<Readonly<Record<TaskEvent['type'], Change>>> = {
  'twr.retry': { from: ['waiting'], to: 'waiting' },
  'twr.held': { from: ['waiting'], to: 'held' },
  'twr.resumed': { from: ['waiting', 'held'], to: 'waiting' },
  'twr.completed': { from: OPEN, to: 'removed' },
  'twr.removed': { from: OPEN, to: 'removed' },
  'twr.expired': { from: OPEN, to: 'expired' },
  'twr.failed': { from: OPEN, to: 'dead' },
}

/**
 * Applies an event about a task if it is newer than the task, by `rev`: then another component wrote it, because the
 * kit's own events are never newer than its table. A task that a worker has is left to the worker, one that is not
 * there is not made: it is done. What becomes of the task is told with a `rev` of its own.
 * @returns whether anything changed
 */
export async function applyTaskEvent(tx: Tx, scope: KeyScope, event: TaskEvent): Promise<boolean> {
  const change = CHANGES[event.type]
  if (!change) return false
  const [known] = await tx<Known[]>`
    select t.id::text, t.topic, case when t.ordered then encode(t.key, 'hex') end as key
    from waiting_room.tasks t
    where t.group_id = ${scope.group} and t.message_id = ${event.messageId} and t.rev < ${event.rev}::int`
  if (!known) return false
  const keys = known.key === null ? [] : [{ topic: known.topic, key: known.key }]
  await lockKeys(tx, scope.group, keys)
  // Anything that Date understands; PostgreSQL is stricter.
  const dueAt = event.dueAt === undefined ? null : new Date(event.dueAt)
  const reason = event.reason?.replaceAll('\0', '') ?? null
  const changed = await tx`
    with changed as (
      update waiting_room.tasks t
      set state = ${change.to}::text, token = null, rev = ${event.rev}::int + 1, changed_at = now(),
          due_at = coalesce(${dueAt}::timestamptz, now()), reason = ${reason}::text
      where t.id = ${known.id}::bigint and t.rev < ${event.rev}::int
        and t.state = any (${`{${change.from.join(',')}}`}::text::text[])
        and (t.token is null or t.due_at <= now())
      returning t as task
    )
    select waiting_room.announce(
      ${scope.controlTopic}::text, ${event.type === 'twr.completed' ? 'twr.removed' : event.type}::text, task
    ) from changed`
  await settleKeys(tx, scope, keys)
  return changed.length > 0
}
