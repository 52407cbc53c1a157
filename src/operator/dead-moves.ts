import { type Mandate, writeAudit } from './audit.ts'
import { type DeadFilter, matching } from './dead-letters.ts'
import type { OutboxAccess, Queries } from './outbox-access.ts'

/** Rows of one transaction. */
export const MOVE_ROWS_MAX = 1_000

export interface Moved {
  readonly events: number
  readonly transactions: number
}

interface MovedRow {
  readonly events: number
  /** The greatest id, from which the next transaction goes on; null when there was none. */
  readonly last_id: string | null
  /** For the audit: ids, or what is left of the rows that are gone. */
  readonly detail: unknown
}

/** Takes up to `MOVE_ROWS_MAX` matching rows above an id. */
type Move = (tx: Queries, afterId: string) => Promise<MovedRow>

/**
 * Puts matching dead letters back into the outbox, each under its own id, so that it comes before the later events of
 * its key; what is read as a retry holds its key.
 *
 * Those whose time to live has passed stay, unless it is lifted. In transactions of up to `MOVE_ROWS_MAX` rows, in
 * the order of ids; if one fails, the earlier ones have happened, and the same call again does the rest.
 *
 * @param filter with `until`, so that an event that dies anew meanwhile is not taken again
 */
export async function requeueDeadLetters(
  outbox: OutboxAccess,
  filter: DeadFilter,
  { liftExpiry, mandate }: { liftExpiry: boolean; mandate: Mandate },
): Promise<Moved> {
  const subject = { filter, lift_expiry: liftExpiry }
  return moveAll(outbox, { action: 'dead.requeue', subject, mandate }, (tx, afterId) =>
    requeueSome(tx, filter, liftExpiry, afterId),
  )
}

/**
 * Deletes matching dead letters for good; keys that they held go on. The audit keeps id, event id, topic, key and
 * reason of each. Transactions as of `requeueDeadLetters`.
 */
export async function discardDeadLetters(
  outbox: OutboxAccess,
  filter: DeadFilter,
  mandate: Mandate,
): Promise<Moved> {
  const deed = { action: 'dead.discard', subject: { filter }, mandate }
  return moveAll(outbox, deed, (tx, afterId) => discardSome(tx, filter, afterId))
}

async function moveAll(
  outbox: OutboxAccess,
  {
    action,
    subject,
    mandate,
  }: { action: string; subject: Record<string, unknown>; mandate: Mandate },
  move: Move,
): Promise<Moved> {
  let events = 0
  let transactions = 0
  for (let afterId = '-1'; ; ) {
    const moved = await outbox.write('moving dead letters', async tx => {
      const row = await move(tx, afterId)
      if (row.events > 0) {
        const whole = { ...subject, events: row.detail }
        await writeAudit(tx, mandate, { action, subject: whole, rows: row.events })
      }
      return row
    })
    events += moved.events
    if (moved.events > 0) transactions += 1
    if (moved.last_id === null || moved.events < MOVE_ROWS_MAX) return { events, transactions }
    afterId = moved.last_id
  }
}

const NONE: MovedRow = { events: 0, last_id: null, detail: null }

async function requeueSome(
  tx: Queries,
  filter: DeadFilter,
  liftExpiry: boolean,
  afterId: string,
): Promise<MovedRow> {
  // attempts is 1, not 0: the relay takes such a row for a retry, finds it wherever its reading has got to, and
  // sends no later event of its key before it.
  const [row] = await tx<MovedRow[]>`
    with picked as (
      select d.id from outbox.dead_letters d
      where d.id > ${afterId}::text::bigint and ${matching(tx, filter)}
        and (${liftExpiry} or d.expires_at is null or d.expires_at > now())
      order by d.id limit ${MOVE_ROWS_MAX} for update
    ), gone as (
      delete from outbox.dead_letters d using picked where d.id = picked.id returning d.*
    ), back as (
      insert into outbox.events (
        id, attempts, created_at, not_before, expires_at, event_id, topic, key, event_type, headers, payload,
        payload_bytes, last_error, history
      ) overriding system value
      select
        id, 1, created_at, now(), case when expires_at > now() then expires_at end, event_id, topic, key,
        event_type, headers, payload, payload_bytes, reason || ': ' || error, history
      from gone order by id
      returning id
    )
    select count(*)::int as events, max(id)::text as last_id, jsonb_agg(id order by id) as detail from back`
  return row ?? NONE
}

async function discardSome(tx: Queries, filter: DeadFilter, afterId: string): Promise<MovedRow> {
  const [row] = await tx<MovedRow[]>`
    with picked as (
      select d.id from outbox.dead_letters d
      where d.id > ${afterId}::text::bigint and ${matching(tx, filter)}
      order by d.id limit ${MOVE_ROWS_MAX} for update
    ), gone as (
      delete from outbox.dead_letters d using picked where d.id = picked.id
      returning d.id, d.event_id, d.topic, d.key, d.reason
    )
    select count(*)::int as events, max(id)::text as last_id,
      jsonb_agg(jsonb_build_object(
        'id', id, 'event_id', event_id, 'topic', topic, 'key', key, 'reason', reason
      ) order by id) as detail
    from gone`
  return row ?? NONE
}
