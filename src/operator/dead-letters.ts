import type { OutboxAccess, Queries } from './outbox-access.ts'

/** Which dead letters. Everything given must hold; null: any. */
export interface DeadFilter {
  /** Outbox ids (decimal) and event ids (UUIDs), any of them; null: not picked one by one. */
  readonly ids: readonly string[] | null
  readonly topic: string | null
  readonly key: string | null
  /** Why it died, such as `message_too_large`. */
  readonly reason: string | null
  /** Instants that it died at or after, and at or before. */
  readonly since: string | null
  readonly until: string | null
}

export interface DeadLetterRow {
  readonly id: string
  readonly event_id: string
  readonly topic: string
  readonly key: string | null
  readonly event_type: string
  readonly reason: string
  /** Cut. */
  readonly error: string
  readonly attempts: number
  readonly blocks_key: boolean
  readonly created_at: Date
  readonly dead_at: Date
  readonly dead_for_seconds: number
  /** Its time to live has passed. */
  readonly expired: boolean
}

export interface DeadCount {
  readonly reason: string
  readonly topic: string
  readonly events: number
  /** Those of them whose time to live has passed. */
  readonly expired: number
}

export interface DeadList {
  /** null: counting took too long. Counted up to `DEAD_COUNT_MAX`, the newest first. */
  readonly counts: readonly DeadCount[] | null
  readonly capped: boolean
  readonly rows: readonly DeadLetterRow[]
}

export interface DeadDetail extends DeadLetterRow {
  readonly lane: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly history: unknown
  readonly not_before: Date | null
  readonly expires_at: Date | null
  readonly payload_kind: 'json' | 'bytes' | 'tombstone'
  readonly payload_bytes: number
  /** The beginning of it when it was asked for: JSON text, or base64 of bytes. */
  readonly payload: string | null
}

export const DEAD_COUNT_MAX = 10_000
export const PAYLOAD_SHOWN_MAX = 16_384
const ERROR_SHOWN_MAX = 500

/**
 * The condition of a filter on `outbox.dead_letters d`. Indexes: the primary key for outbox ids, dead_letters_dead_at
 * for times; the rest is looked through within the time limit.
 */
export function matching(tx: Queries, filter: DeadFilter) {
  const { ids, topic, key, reason, since, until } = filter
  const outboxIds = ids?.filter(id => !id.includes('-')) ?? null
  const eventIds = ids?.filter(id => id.includes('-')) ?? null
  return tx`(
    (${outboxIds && listText(outboxIds)}::text is null
      or d.id = any (${outboxIds && listText(outboxIds)}::text::bigint[])
      or d.event_id = any (${eventIds && listText(eventIds)}::text::uuid[]))
    and (${topic}::text is null or d.topic = ${topic}::text)
    and (${key}::text is null or d.key = ${key}::text)
    and (${reason}::text is null or d.reason = ${reason}::text)
    and (${since}::text is null or d.dead_at >= ${since}::text::timestamptz)
    and (${until}::text is null or d.dead_at <= ${until}::text::timestamptz)
  )`
}

function listText(items: readonly string[]): string {
  return `{${items.join(',')}}`
}

function columns(tx: Queries) {
  return tx`
    d.id::text as id, d.event_id, d.topic, d.key, d.event_type, d.reason,
    left(d.error, ${ERROR_SHOWN_MAX}) as error, d.attempts, d.blocks_key, d.created_at, d.dead_at,
    extract(epoch from now() - d.dead_at)::float8 as dead_for_seconds,
    coalesce(d.expires_at <= now(), false) as expired`
}

/** The newest dead letters, and how many there are by reason and topic. */
export async function listDeadLetters(
  outbox: OutboxAccess,
  filter: DeadFilter,
  limit: number,
): Promise<DeadList> {
  const rows = await outbox.read(
    'listing dead letters',
    tx => tx<DeadLetterRow[]>`
      select ${columns(tx)} from outbox.dead_letters d
      where ${matching(tx, filter)} order by d.dead_at desc, d.id desc limit ${limit}`,
  )
  return { ...(await countDeadLetters(outbox, filter)), rows: [...rows] }
}

/** How many match, by reason and topic, the most frequent first. */
export async function countDeadLetters(
  outbox: OutboxAccess,
  filter: DeadFilter,
): Promise<Pick<DeadList, 'counts' | 'capped'>> {
  const counts = await outbox.readUnlessSlow(
    'counting dead letters',
    tx => tx<DeadCount[]>`
      select newest.reason, newest.topic, count(*)::int as events,
        (count(*) filter (where newest.expires_at <= now()))::int as expired
      from (
        select d.reason, d.topic, d.expires_at from outbox.dead_letters d
        where ${matching(tx, filter)} order by d.dead_at desc limit ${DEAD_COUNT_MAX}
      ) newest
      group by newest.reason, newest.topic order by events desc, newest.reason, newest.topic`,
  )
  const total = counts?.reduce((sum, { events }) => sum + events, 0) ?? 0
  return { counts: counts && [...counts], capped: total >= DEAD_COUNT_MAX }
}

/**
 * All of one dead letter.
 * @param withPayload its payload too, up to `PAYLOAD_SHOWN_MAX` characters or bytes
 * @returns more than one when a writer gave the same event id twice
 */
export async function showDeadLetter(
  outbox: OutboxAccess,
  filter: DeadFilter,
  withPayload: boolean,
): Promise<readonly DeadDetail[]> {
  const rows = await outbox.read(
    'reading the dead letter',
    tx => tx<DeadDetail[]>`
      select ${columns(tx)}, d.error, d.lane, d.headers, d.history, d.not_before, d.expires_at,
        case when d.payload is not null then 'json' when d.payload_bytes is not null then 'bytes'
          else 'tombstone' end as payload_kind,
        coalesce(octet_length(d.payload::text), octet_length(d.payload_bytes), 0) as payload_bytes,
        case when ${withPayload} then coalesce(
          left(d.payload::text, ${PAYLOAD_SHOWN_MAX}),
          encode(substring(d.payload_bytes from 1 for ${PAYLOAD_SHOWN_MAX}), 'base64')
        ) end as payload
      from outbox.dead_letters d where ${matching(tx, filter)} order by d.id limit 10`,
  )
  return [...rows]
}
