import type { Sql } from '../postgres/database.ts'
import type { TaskRow } from './task-row.ts'
import type { ClaimOrder } from './task-store.ts'

/** Times the limit. */
const LOOKED_AT = 4

/**
 * Claims due tasks: their attempts are counted, and their leases begin, which are nothing but a later `due_at`.
 *
 * Without holds (`first`) the index tasks_due is read from its beginning, and no further than the limit. With one, what
 * is held might lie at that beginning by the million, so each partition that is not held is read by itself (`unheld`),
 * by the index tasks_due_of_partition. A held waiting key has one task at most in either index.
 *
 * The room is empty one moment and full the next, so the plan must not hang on statistics. Each range begins at a
 * comparison of rows and ends by its limit, which no other index serves as well; with `group_id = …` the planner took
 * one of those and sorted all that waits, when it thought that nothing does. The test of the key is a scalar subquery,
 * and the lock a lateral one, because joins were made by reading all keys, or all tasks. Others may have locked what is
 * due first, so more is looked at than taken.
 *
 * What it costs with 1,000,000 tasks: docs/decisions.md.
 */
export function claimStatement(sql: Sql, group: string, { limit, leaseMs }: ClaimOrder) {
  const looked = limit * LOOKED_AT
  return sql<TaskRow[]>`
    with recursive held as materialized (
      select h.topic, h.partition from waiting_room.holds h
      where h.group_id = ${group} and h.held_until > now()
    ), first as materialized (
      select f.id, f.group_id, f.due_at
      from (
        select t.id, t.group_id, t.due_at from waiting_room.tasks t
        where not exists (select from held)
          and t.state = 'waiting' and (t.group_id, t.due_at) > (${group}::text, '-infinity')
          and (not t.ordered or (
            select k.held_until > now() from waiting_room.keys k
            where k.group_id = t.group_id and k.topic = t.topic and k.key = t.key
          ) is not true)
        order by t.group_id, t.due_at
        limit ${looked}::int
      ) f
      where f.group_id = ${group} and f.due_at <= now()
    ), partitions as (
      select ${group}::text as group_id, '' as topic, -1 as partition
      where exists (select from held)
      union all
      select n.group_id, n.topic, n.partition
      from partitions p
      cross join lateral (
        select t.group_id, t.topic, t.partition from waiting_room.tasks t
        where t.state = 'waiting'
          and (t.group_id, t.topic, t.partition) > (p.group_id, p.topic, p.partition)
        order by t.group_id, t.topic, t.partition
        limit 1
      ) n
      where n.group_id = ${group}
    ), open_partitions as materialized (
      select * from partitions p
      where p.partition >= 0 and not exists (
        select from held h where h.topic in ('*', p.topic) and h.partition in (-1, p.partition)
      )
    ), unheld as materialized (
      select f.id, f.due_at
      from open_partitions p
      cross join lateral (
        select t.id, t.group_id, t.topic, t.partition, t.due_at from waiting_room.tasks t
        where t.state = 'waiting'
          and (t.group_id, t.topic, t.partition, t.due_at) > (p.group_id, p.topic, p.partition, '-infinity')
          and (not t.ordered or (
            select k.held_until > now() from waiting_room.keys k
            where k.group_id = t.group_id and k.topic = t.topic and k.key = t.key
          ) is not true)
        order by t.group_id, t.topic, t.partition, t.due_at
        limit ${looked}::int
      ) f
      where f.group_id = p.group_id and f.topic = p.topic and f.partition = p.partition and f.due_at <= now()
    ), due as materialized (
      select l.id, l.due_at
      from (
        select id, due_at from first
        union all
        select id, due_at from unheld
        order by due_at
      ) c
      cross join lateral (
        select t.id, t.due_at from waiting_room.tasks t
        where t.id = c.id and t.state = 'waiting' and t.due_at <= now()
        for update of t skip locked
      ) l
      limit ${limit}::int
    )
    update waiting_room.tasks t
    set attempts = t.attempts + 1, rev = t.rev + 1, token = gen_random_uuid(), changed_at = now(),
        due_at = now() + ${leaseMs}::float8 * interval '1 ms'
    from due
    where t.id = due.id
    returning t.id::text, t.token::text, t.message_id, t.topic, t.partition, t."offset"::text, t.key, t.value,
      t.headers, extract(epoch from t.record_at)::float8 * 1000 as record_ms, t.ordered, t.attempts,
      extract(epoch from t.expires_at - now())::float8 * 1000 as expires_in_ms, t.retry_topic,
      extract(epoch from now() - due.due_at)::float8 * 1000 as late_ms`
}
