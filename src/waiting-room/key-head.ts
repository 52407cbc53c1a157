import type { Tx } from '../consumer/tx.ts'

export interface WaitingKey {
  readonly group: string
  readonly topic: string
  readonly key: Buffer
}

/**
 * Locks the key's row until the transaction ends. Whoever adds a record to the key, or takes one away, does it first;
 * so a parker and a finisher meet here, and the key is never left without a head.
 */
export async function lockKey(tx: Tx, { group, topic, key }: WaitingKey): Promise<void> {
  await tx`
    select from waiting_room.keys
    where group_id = ${group} and topic = ${topic} and key = ${key}
    for update`
}

/**
 * The head of a key has left it, in this transaction: the next one may run, or is held if the key is, and the row goes
 * with the last. The key's row is locked. Index tasks_of_key.
 */
export async function leaveKey(
  tx: Tx,
  { group, topic, key }: WaitingKey,
  controlTopic: string | null,
): Promise<void> {
  await tx`
    with first as (
      select t.id, t.state, k.held_until
      from waiting_room.tasks t
      left join waiting_room.keys k on k.group_id = t.group_id and k.topic = t.topic and k.key = t.key
      where t.group_id = ${group} and t.topic = ${topic} and t.key = ${key}
        and t.ordered and t.state in ('waiting', 'behind', 'held')
      order by t.id
      limit 1
    ), promoted as (
      update waiting_room.tasks t
      set state = case when f.held_until = 'infinity' then 'held' else 'waiting' end,
          due_at = case
            when f.held_until = 'infinity' then t.due_at
            else greatest(t.due_at, f.held_until, clock_timestamp())
          end,
          rev = t.rev + 1, changed_at = clock_timestamp()
      from first f
      where t.id = f.id and f.state = 'behind'
      returning t as task
    ), emptied as (
      delete from waiting_room.keys
      where group_id = ${group} and topic = ${topic} and key = ${key}
        and open <= 1 and (held_until > now()) is not true
    ), counted as (
      update waiting_room.keys
      set open = greatest(open - 1, 0)
      where group_id = ${group} and topic = ${topic} and key = ${key}
        and (open > 1 or held_until > now())
    )
    select waiting_room.announce(
      ${controlTopic}::text, case when (task).state = 'held' then 'twr.held' else 'twr.resumed' end, task
    ) from promoted`
}
