import type { OutboxAccess, Queries } from './outbox-access.ts'

/** Which published events. Everything given must hold; null: any. */
export interface ReplayFilter {
  /** Outbox ids, decimal. */
  readonly ids: readonly string[] | null
  readonly eventIds: readonly string[] | null
  readonly topic: string | null
  readonly key: string | null
  /** Instants that it was published at or after, and at or before. */
  readonly since: string | null
  readonly until: string | null
}

export interface PublishedRow {
  readonly id: string
  readonly event_id: string
  readonly topic: string
  readonly key: string | null
  readonly event_type: string
  readonly kafka_partition: number
  readonly kafka_offset: string
  readonly published_at: Date
}

/** A published row's address: its id, and when it was published, by which its partition is found. */
export interface Place {
  readonly id: string
  /** Instant with microseconds. */
  readonly at: string
  /** It was itself written by a replay. */
  readonly again: boolean
}

export const REPLAY_HEADER = 'sluice-replay-of'

const SELECT_TIMEOUT_MS = 30_000

/**
 * The condition of a filter on `outbox.published p`. Indexes: published_at for times, the page summaries of published_id
 * for ids; there is none on event id and key, which is why those are looked for within a window of time.
 */
function matching(tx: Queries, { ids, eventIds, topic, key, since, until }: ReplayFilter) {
  const idList = ids && `{${ids.join(',')}}`
  const eventIdList = eventIds && `{${eventIds.join(',')}}`
  return tx`(
    (${idList}::text is null or p.id = any (${idList}::text::bigint[]))
    and (${eventIdList}::text is null or p.event_id = any (${eventIdList}::text::uuid[]))
    and (${topic}::text is null or p.topic = ${topic}::text)
    and (${key}::text is null or p.key = ${key}::text)
    and (${since}::text is null or p.published_at >= ${since}::text::timestamptz)
    and (${until}::text is null or p.published_at <= ${until}::text::timestamptz)
  )`
}

/**
 * Where the matching events are, in their original order: that of the offsets within each partition of Kafka, and by
 * time across partitions. Ids and times alone would not do: an event that waited for a retry has a low id and went
 * late, and the rows of one confirm have no order of time among themselves.
 *
 * @param limit at most so many; one more is read to tell that there are more
 */
export async function selectPublished(
  outbox: OutboxAccess,
  filter: ReplayFilter,
  limit: number,
): Promise<{ places: Place[]; more: boolean }> {
  const rows = await outbox.read(
    'looking for published events',
    tx => tx<Place[]>`
      select o.id::text as id, to_char(o.published_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, o.again
      from (
        select p.id, p.published_at, p.topic, p.kafka_partition, p.kafka_offset,
          jsonb_exists(p.headers, ${REPLAY_HEADER}) as again,
          max(p.published_at) over (partition by p.topic, p.kafka_partition order by p.kafka_offset) as reached_at
        from (
          select * from outbox.published p where ${matching(tx, filter)}
          order by p.published_at, p.id limit ${limit + 1}
        ) p
      ) o
      order by o.reached_at, o.topic, o.kafka_partition, o.kafka_offset`,
    SELECT_TIMEOUT_MS,
  )
  return { places: rows.slice(0, limit), more: rows.length > limit }
}

/** The rows at these places, in their order. */
export async function readPublished(
  outbox: OutboxAccess,
  places: readonly Place[],
): Promise<PublishedRow[]> {
  const rows = await outbox.read(
    'reading published events',
    tx => tx<PublishedRow[]>`
      select p.id::text as id, p.event_id, p.topic, p.key, p.event_type, p.kafka_partition,
        p.kafka_offset::text as kafka_offset, p.published_at
      from ${placesOf(tx, places)} join outbox.published p on p.id = w.id and p.published_at = w.at
      order by w.place`,
  )
  return [...rows]
}

/** The given places as a table `w (id, at, place)`. The exact time lets PostgreSQL look into one partition only. */
export function placesOf(tx: Queries, places: readonly Place[]) {
  const ids = `{${places.map(({ id }) => id).join(',')}}`
  const ats = `{${places.map(({ at }) => at).join(',')}}`
  return tx`
    unnest(${ids}::text::bigint[], ${ats}::text::timestamptz[]) with ordinality as w (id, at, place)`
}

export interface History {
  readonly kept: boolean
  /** The oldest published event that is still there. */
  readonly since: Date | null
}

export async function readHistory(outbox: OutboxAccess): Promise<History> {
  const [row] = await outbox.read(
    'looking for a history',
    tx => tx<{ since: Date | null }[]>`select min(published_at) as since from outbox.published`,
  )
  return { kept: row?.since != null, since: row?.since ?? null }
}
