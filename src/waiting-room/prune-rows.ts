import type { Tx } from '../consumer/tx.ts'

/** Rows deleted by one statement: short enough to disturb nobody. */
export const PRUNED_ROWS_MAX = 5_000
/** A longer one PostgreSQL's intervals could not take. */
const RETENTION_MS_MAX = 100 * 365 * 86_400_000

/** Forgets ids that no record can come back with. Index inbox_handled_at, which needs a bitmap scan. */
export async function pruneInbox(tx: Tx, group: string, retentionMs: number): Promise<number> {
  await tx`select set_config('enable_bitmapscan', 'on', true), set_config('enable_seqscan', 'off', true)`
  const { count } = await tx`
    delete from waiting_room.inbox
    where ctid = any (array(
      select ctid from waiting_room.inbox
      where group_id = ${group}
        and handled_at < now() - ${Math.min(retentionMs, RETENTION_MS_MAX)}::float8 * interval '1 ms'
      limit ${PRUNED_ROWS_MAX}::int
    ))`
  return count
}

/**
 * Deletes tasks that ended, expired or removed, before the time given. Index tasks_in_state, whose oldest entries alone
 * are looked at: one that ended late may keep others for a while.
 */
export async function pruneEnded(tx: Tx, group: string, retentionMs: number): Promise<number> {
  const { count } = await tx`
    delete from waiting_room.tasks
    where id in (
      select o.id
      from (values ('expired'), ('removed')) as s (state)
      cross join lateral (
        select t.id, t.changed_at from waiting_room.tasks t
        where t.group_id = ${group} and t.state = s.state
        order by t.id
        limit ${PRUNED_ROWS_MAX}::int
      ) o
      where o.changed_at < now() - ${retentionMs}::float8 * interval '1 ms'
    )`
  return count
}

/** Holds that have ended by themselves. */
export async function pruneHolds(tx: Tx, group: string): Promise<number> {
  const { count } = await tx`
    delete from waiting_room.holds where group_id = ${group} and held_until <= now()`
  return count
}
