import type { Queries } from '../operator/outbox-access.ts'
import { type KeyScope, lockKeys, settleKeys } from './settle-keys.ts'
import { keyHex } from './task-filter.ts'

export interface Hold {
  /** ISO 8601; null: until resumed. */
  readonly until: string | null
  readonly reason: string
  readonly actor: string
}

/** What is not read: a partition, a topic, or all that the group has. */
export interface ReadingTarget {
  readonly topic?: string
  readonly partition?: number
}

const EVERY_TOPIC = '*'
const EVERY_PARTITION = -1

/** Replaces the hold that is there. @returns 1 */
export async function holdReading(
  tx: Queries,
  group: string,
  { topic = EVERY_TOPIC, partition = EVERY_PARTITION }: ReadingTarget,
  { until, reason, actor }: Hold,
): Promise<number> {
  const { count } = await tx`
    insert into waiting_room.holds (group_id, topic, partition, held_until, reason, held_by)
    values (${group}, ${topic}, ${partition}, ${until ?? 'infinity'}::text::timestamptz, ${reason}, ${actor})
    on conflict (group_id, topic, partition) do update set
      held_until = excluded.held_until, reason = excluded.reason, held_by = excluded.held_by, held_at = now()`
  return count
}

/** @returns 1, or 0 when this very target was not held; holds of more or of less than it stay */
export async function resumeReading(
  tx: Queries,
  group: string,
  { topic = EVERY_TOPIC, partition = EVERY_PARTITION }: ReadingTarget,
): Promise<number> {
  const { count } = await tx`
    delete from waiting_room.holds
    where group_id = ${group} and topic = ${topic} and partition = ${partition}`
  return count
}

/** Holds a waiting key: its records wait, and none of them runs but one that a worker has already. @returns 1 */
export async function holdKey(
  tx: Queries,
  scope: KeyScope,
  { topic, key }: { readonly topic: string; readonly key: string },
  { until, reason }: Hold,
): Promise<number> {
  const name = { topic, key: keyHex(key) }
  await lockKeys(tx, scope.group, [name])
  // The head follows the hold. One that was held for itself, not by the key's hold, stays so.
  await tx`
    with held as (
      select group_id, topic, key, held_until as before, ${until ?? 'infinity'}::text::timestamptz as until
      from waiting_room.keys
      where group_id = ${scope.group} and topic = ${topic} and key = decode(${name.key}, 'hex')
    ), marked as (
      update waiting_room.keys k set held_until = held.until, held_reason = ${reason}
      from held where k.group_id = held.group_id and k.topic = held.topic and k.key = held.key
    ), changed as (
      update waiting_room.tasks t set
        state = case when held.until = 'infinity' then 'held' else 'waiting' end,
        due_at = case
          when held.until = 'infinity' then t.due_at
          when t.state = 'held' or t.due_at = held.before then held.until
          else greatest(t.due_at, held.until)
        end,
        token = null, reason = ${reason}, rev = t.rev + 1, changed_at = now()
      from held
      where t.group_id = held.group_id and t.topic = held.topic and t.key = held.key and t.ordered
        and (
          (t.state = 'waiting' and (t.token is null or t.due_at <= now()))
          or (t.state = 'held' and held.before = 'infinity' and held.until <> 'infinity')
        )
      returning t as task
    )
    select waiting_room.announce(${scope.controlTopic}, 'twr.held', task) from changed`
  await settleKeys(tx, scope, [name])
  return 1
}

/** Lets a waiting key go on: its head runs now, also one that was held for itself. @returns 1, or 0: nothing held it */
export async function resumeKey(
  tx: Queries,
  scope: KeyScope,
  { topic, key }: { readonly topic: string; readonly key: string },
): Promise<number> {
  const name = { topic, key: keyHex(key) }
  const held = await tx`
    select from waiting_room.keys
    where group_id = ${scope.group} and topic = ${topic} and key = decode(${name.key}, 'hex')
    for update`
  if (held.length === 0) return 0
  const [row] = await tx<{ resumed: boolean }[]>`
    with held as (
      select group_id, topic, key, held_until as before from waiting_room.keys
      where group_id = ${scope.group} and topic = ${topic} and key = decode(${name.key}, 'hex')
    ), marked as (
      update waiting_room.keys k set held_until = null, held_reason = null
      from held where k.group_id = held.group_id and k.topic = held.topic and k.key = held.key
    ), changed as (
      update waiting_room.tasks t set
        state = 'waiting', due_at = now(), reason = null, rev = t.rev + 1, changed_at = now()
      from held
      where t.group_id = held.group_id and t.topic = held.topic and t.key = held.key and t.ordered
        and (t.state = 'held' or (t.state = 'waiting' and t.token is null and t.due_at = held.before))
      returning t as task
    ), told as (
      select waiting_room.announce(${scope.controlTopic}, 'twr.resumed', task)::text as told from changed
    )
    select held.before is not null or exists (select from changed) as resumed,
      (select count(told) from told) as told
    from held`
  await settleKeys(tx, scope, [name])
  return row?.resumed ? 1 : 0
}
