import { type DeadFilter, matching } from './dead-letters.ts'
import type { OutboxAccess } from './outbox-access.ts'

/** What stands after the dead letters of one key. */
export interface LaterOfKey {
  readonly topic: string
  readonly key: string
  /** Dead letters of the key among those looked at. */
  readonly dead: number
  /** Later events that wait. */
  readonly waiting: number
  /** They wait because a dead letter holds the key: none of them can overtake it. */
  readonly held: boolean
  /** Later events published since it died; null when that is not known. */
  readonly published: number | null
}

export interface LaterEvents {
  /** Keys with later events, those with most of them first. */
  readonly keys: readonly LaterOfKey[]
  /** Only the first this many matching dead letters were looked at. */
  readonly looked_at: number
  /** `none`: no published event is kept; `slow`: looking took too long. */
  readonly history: 'known' | 'none' | 'slow'
  /** false: looking at the waiting events took too long. */
  readonly waiting_known: boolean
}

/** Dead letters whose followers are looked for. */
export const ORDER_ROWS_MAX = 1_000
const LOOK_TIMEOUT_MS = 5_000

interface Later {
  readonly topic: string
  readonly key: string
  readonly dead: number
  readonly held: boolean
  readonly events: number
}

/**
 * Looks for events of the same topic and key that come after the matching dead letters. One pass over what waits and
 * one over what was published since the first of them died (index: published_at), each within a time limit.
 */
export async function findLaterEvents(
  outbox: OutboxAccess,
  filter: DeadFilter,
): Promise<LaterEvents> {
  const waiting = await outbox.readUnlessSlow(
    'looking for later events that wait',
    tx => tx<Later[]>`
      with dead as (
        select d.lane, d.topic, d.key, min(d.id) as id, count(*)::int as dead, bool_or(d.blocks_key) as held
        from (
          select d.* from outbox.dead_letters d where ${matching(tx, filter)} order by d.id limit ${ORDER_ROWS_MAX}
        ) d
        where d.key is not null group by d.lane, d.topic, d.key
      )
      select k.topic, k.key, k.dead, k.held, count(*)::int as events
      from dead k join outbox.events e
        on e.lane = k.lane and e.topic = k.topic and e.key = k.key and e.id > k.id
      group by k.topic, k.key, k.dead, k.held order by events desc, k.topic, k.key`,
    LOOK_TIMEOUT_MS,
  )
  const [kept] = await outbox.read(
    'looking for a history',
    tx => tx<{ kept: boolean }[]>`select exists (select from outbox.published) as kept`,
  )
  const published = kept?.kept ? await publishedSince(outbox, filter) : []
  return {
    keys: merge(waiting ?? [], published),
    looked_at: ORDER_ROWS_MAX,
    history: published === null ? 'slow' : kept?.kept ? 'known' : 'none',
    waiting_known: waiting !== null,
  }
}

async function publishedSince(outbox: OutboxAccess, filter: DeadFilter) {
  return outbox.readUnlessSlow(
    'looking for later events that were published',
    tx => tx<Later[]>`
      with dead as materialized (
        select d.topic, d.key, min(d.id) as id, min(d.dead_at) as dead_at, count(*)::int as dead,
          bool_or(d.blocks_key) as held
        from (
          select d.* from outbox.dead_letters d where ${matching(tx, filter)} order by d.id limit ${ORDER_ROWS_MAX}
        ) d
        where d.key is not null group by d.topic, d.key
      )
      select k.topic, k.key, k.dead, k.held, count(*)::int as events
      from dead k join outbox.published p
        on p.topic = k.topic and p.key = k.key and p.id > k.id and p.published_at > k.dead_at
      where p.published_at > (select min(dead_at) from dead)
      group by k.topic, k.key, k.dead, k.held order by events desc, k.topic, k.key`,
    LOOK_TIMEOUT_MS,
  )
}

function merge(waiting: readonly Later[], published: readonly Later[] | null): LaterOfKey[] {
  const keys = new Map<string, LaterOfKey>()
  for (const { topic, key, dead, held, events } of waiting) {
    const none = published === null ? null : 0
    keys.set(JSON.stringify([topic, key]), {
      topic,
      key,
      dead,
      held,
      waiting: events,
      published: none,
    })
  }
  for (const { topic, key, dead, held, events } of published ?? []) {
    const name = JSON.stringify([topic, key])
    const known = keys.get(name) ?? { topic, key, dead, held, waiting: 0 }
    keys.set(name, { ...known, published: events })
  }
  return [...keys.values()].sort(
    (a, b) => (b.published ?? 0) + b.waiting - ((a.published ?? 0) + a.waiting),
  )
}
