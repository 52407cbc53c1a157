import type { Tx } from '../consumer/tx.ts'
import { type KeyScope, lockKeys, settleKeys } from './settle-keys.ts'

/** Tasks ended by one transaction: few enough that nobody waits long for the rows of their keys. */
export const EXPIRED_TASKS_MAX = 200

interface Picked {
  readonly id: string
  readonly topic: string
  /** Hex; null: it takes no part in its key's order. */
  readonly key: string | null
}

/**
 * Ends tasks whose time is over, but for those that a worker has, and lets their keys go on. Index tasks_expiring.
 * @returns how many; `EXPIRED_TASKS_MAX`: there may be more
 */
export async function sweepExpired(tx: Tx, scope: KeyScope): Promise<number> {
  const { group, controlTopic } = scope
  const picked = await tx<Picked[]>`
    select t.id::text, t.topic, case when t.ordered then encode(t.key, 'hex') end as key
    from waiting_room.tasks t
    where t.group_id = ${group} and t.expires_at <= now() and t.state in ('waiting', 'behind', 'held')
      and not (t.state = 'waiting' and t.token is not null and t.due_at > now())
    order by t.expires_at
    limit ${EXPIRED_TASKS_MAX}::int`
  if (picked.length === 0) return 0
  const keys = picked.flatMap(({ topic, key }) => (key === null ? [] : [{ topic, key }]))
  await lockKeys(tx, group, keys)
  // What a worker has claimed meanwhile is left to it.
  const ended = await tx`
    with picked as (
      select t.id from waiting_room.tasks t
      where t.id in (
          select g.id from jsonb_to_recordset(${JSON.stringify(picked)}::text::jsonb) as g (id bigint)
        )
        and t.state in ('waiting', 'behind', 'held')
        and not (t.state = 'waiting' and t.token is not null and t.due_at > clock_timestamp())
      order by t.id
      for update of t
    ), changed as (
      update waiting_room.tasks t
      set state = 'expired', token = null, reason = 'expired', rev = t.rev + 1, changed_at = now()
      from picked p
      where t.id = p.id
      returning t as task
    )
    select waiting_room.announce(${controlTopic}::text, 'twr.expired', task) from changed`
  await settleKeys(tx, scope, keys)
  return ended.length
}
