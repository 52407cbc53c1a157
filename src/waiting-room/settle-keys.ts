import type { Queries } from '../operator/outbox-access.ts'

/** A waiting key of a group. */
export interface KeyName {
  readonly topic: string
  /** Its bytes in hex. */
  readonly key: string
}

/** Whose keys, and who is to be told. */
export interface KeyScope {
  readonly group: string
  readonly controlTopic: string | null
}

/** Locks the rows of these keys in the order of topic and key, making those that are not there. */
export async function lockKeys(
  tx: Queries,
  group: string,
  keys: readonly KeyName[],
): Promise<void> {
  if (keys.length === 0) return
  await tx`
    insert into waiting_room.keys as k (group_id, topic, key, open)
    select distinct ${group}, g.topic, decode(g.key, 'hex'), 0 from ${given(tx, keys)}
    order by 2, 3
    on conflict (group_id, topic, key) do update set open = k.open`
}

/**
 * Brings keys whose rows are locked back to what must hold: `open` counts their waiting, behind and held tasks; the
 * first of these is waiting or held, all others are behind; a key that nothing needs has no row. A head that a worker
 * has, or that is held, stays the head though an earlier task has come back.
 */
export async function settleKeys(
  tx: Queries,
  scope: KeyScope,
  keys: readonly KeyName[],
): Promise<void> {
  if (keys.length === 0) return
  // One after the other: a claim takes no lock on the key, and whether it came first shows in the next statement only.
  await stepBack(tx, scope, keys)
  await promote(tx, scope, keys)
  await tx`
    update waiting_room.keys k set open = (
      select count(*) from waiting_room.tasks t
      where t.group_id = k.group_id and t.topic = k.topic and t.key = k.key
        and t.ordered and t.state in ('waiting', 'behind', 'held')
    )
    from ${given(tx, keys)}
    where k.group_id = ${scope.group} and k.topic = g.topic and k.key = decode(g.key, 'hex')`
  await tx`
    delete from waiting_room.keys k using ${given(tx, keys)}
    where k.group_id = ${scope.group} and k.topic = g.topic and k.key = decode(g.key, 'hex')
      and k.open = 0 and (k.held_until is null or k.held_until <= now())`
}

/** A head that waits goes behind an earlier task. */
async function stepBack(
  tx: Queries,
  { group, controlTopic }: KeyScope,
  keys: readonly KeyName[],
): Promise<void> {
  await tx`
    with changed as (
      update waiting_room.tasks t set state = 'behind', token = null, rev = t.rev + 1, changed_at = now()
      from ${given(tx, keys)}
      where t.group_id = ${group} and t.topic = g.topic and t.key = decode(g.key, 'hex')
        and t.ordered and t.state = 'waiting' and (t.token is null or t.due_at <= now())
        and exists (
          select from waiting_room.tasks e
          where e.group_id = t.group_id and e.topic = t.topic and e.key = t.key
            and e.ordered and e.state = 'behind' and e.id < t.id
        )
      returning t as task
    )
    select waiting_room.announce(${controlTopic}, 'twr.held', task) from changed`
}

/** Where no task is waiting or held, the first of those behind becomes so. */
async function promote(
  tx: Queries,
  { group, controlTopic }: KeyScope,
  keys: readonly KeyName[],
): Promise<void> {
  await tx`
    with heads as (
      select earliest.id, k.held_until
      from ${given(tx, keys)}
      join waiting_room.keys k
        on k.group_id = ${group} and k.topic = g.topic and k.key = decode(g.key, 'hex')
      cross join lateral (
        select t.id from waiting_room.tasks t
        where t.group_id = k.group_id and t.topic = k.topic and t.key = k.key
          and t.ordered and t.state in ('waiting', 'behind', 'held')
        order by t.id limit 1
      ) earliest
      where not exists (
        select from waiting_room.tasks t
        where t.group_id = k.group_id and t.topic = k.topic and t.key = k.key
          and t.ordered and t.state in ('waiting', 'held')
      )
    ), changed as (
      update waiting_room.tasks t set
        state = case when h.held_until = 'infinity' then 'held' else 'waiting' end,
        due_at = case when h.held_until = 'infinity' then t.due_at else greatest(now(), t.due_at, h.held_until) end,
        rev = t.rev + 1, changed_at = now()
      from heads h where t.id = h.id
      returning t as task
    )
    select waiting_room.announce(
      ${controlTopic}, case when (task).state = 'held' then 'twr.held' else 'twr.resumed' end, task
    ) from changed`
}

/** The keys as rows `g (topic, key)`, the key in hex. */
function given(tx: Queries, keys: readonly KeyName[]) {
  return tx`jsonb_to_recordset(${JSON.stringify(keys)}::text::jsonb) as g (topic text, key text)`
}
