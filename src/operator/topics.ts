import type { OutboxAccess } from './outbox-access.ts'

export interface TopicFacts {
  readonly topic: string
  /** Among the first `TOPIC_ROWS_PER_LANE` events of each lane; null when looking took too long. */
  readonly waiting: number | null
  readonly oldest_due_age_seconds: number | null
  /** The worst state of its breaker in any replica; null: closed everywhere. */
  readonly breaker: 'open' | 'half_open' | null
  readonly breaker_reason: string | null
  readonly paused_by: string | null
  readonly pause_reason: string | null
}

export interface TopicList {
  readonly topics: readonly TopicFacts[]
  /** Some lane has more events than were looked at: a topic may be missing. */
  readonly capped: boolean
}

export const TOPIC_ROWS_PER_LANE = 1_000

interface Waiting {
  readonly topic: string
  readonly waiting: number
  readonly oldest_due_age_seconds: number | null
  readonly capped: boolean
}

interface Known {
  readonly topic: string
  readonly breaker: TopicFacts['breaker']
  readonly breaker_reason: string | null
  readonly paused_by: string | null
  readonly pause_reason: string | null
}

/** Topics with waiting events, with a breaker that is not closed, or paused. */
export async function readTopicList(outbox: OutboxAccess): Promise<TopicList> {
  const waiting = await outbox.readUnlessSlow(
    'looking at the topics of what waits',
    // Index: primary key (lane, id), 64 scans that stop at the limit.
    tx => tx<Waiting[]>`
      select head.topic, count(*)::int as waiting, bool_or(head.place = ${TOPIC_ROWS_PER_LANE}) as capped,
        extract(epoch from now() - min(greatest(head.created_at, head.not_before))
          filter (where head.not_before is null or head.not_before <= now()))::float8 as oldest_due_age_seconds
      from generate_series(0, 63) as l (lane)
      cross join lateral (
        select topic, created_at, not_before, row_number() over (order by id) as place
        from outbox.events where lane = l.lane order by id limit ${TOPIC_ROWS_PER_LANE}
      ) head
      group by head.topic order by waiting desc, head.topic limit 1000`,
  )
  const known = await outbox.read(
    'reading breakers and pauses of topics',
    tx => tx<Known[]>`
      with broken as (
        select distinct on (b.breaker) substring(b.breaker from 7) as topic, b.state as breaker, b.reason as breaker_reason
        from outbox.breakers b where b.breaker like 'topic:%' order by b.breaker, b.state = 'open' desc, b.since
      ), paused as (
        select name as topic, paused_by, reason as pause_reason from outbox.pauses where kind = 'topic'
      )
      select topic, breaker, breaker_reason, paused_by, pause_reason
      from broken full join paused using (topic) order by topic limit 1000`,
  )
  return {
    topics: merge(waiting, known),
    capped: waiting?.some(({ capped }) => capped) ?? false,
  }
}

function merge(waiting: readonly Waiting[] | null, known: readonly Known[]): TopicFacts[] {
  const closed = { breaker: null, breaker_reason: null, paused_by: null, pause_reason: null }
  const count = waiting === null ? null : 0
  const topics = new Map<string, TopicFacts>()
  for (const { topic, waiting: events, oldest_due_age_seconds } of waiting ?? []) {
    topics.set(topic, { topic, waiting: events, oldest_due_age_seconds, ...closed })
  }
  for (const row of known) {
    const facts = topics.get(row.topic) ?? { waiting: count, oldest_due_age_seconds: null }
    topics.set(row.topic, { ...facts, ...row })
  }
  return [...topics.values()]
}
