import type { OutboxAccess } from './outbox-access.ts'

export interface LaneFacts {
  readonly lane: number
  readonly owner: string | null
  readonly epoch: string
  /** Seconds; null without a lease that still runs. */
  readonly lease_left_seconds: number | null
  /** Counted up to `LANE_COUNT_MAX`; null when counting took too long. */
  readonly waiting: number | null
  /** Age of the first waiting event of the lane. */
  readonly oldest_age_seconds: number | null
  readonly paused_by: string | null
  readonly pause_reason: string | null
}

export const LANE_COUNT_MAX = 1_000
export const LANES = 64

interface Waiting {
  readonly lane: number
  readonly waiting: number
  readonly oldest_age_seconds: number | null
}

/** All lanes. Index: primary key (lane, id), 64 scans that stop at the limit. */
export async function readLanes(outbox: OutboxAccess): Promise<readonly LaneFacts[]> {
  const lanes = await outbox.read(
    'reading the lanes',
    tx => tx<Omit<LaneFacts, 'waiting' | 'oldest_age_seconds'>[]>`
      select l.lane, l.owner, l.epoch::text as epoch, p.paused_by, p.reason as pause_reason,
        case when l.leased_until > now() then extract(epoch from l.leased_until - now())::float8 end
          as lease_left_seconds
      from outbox.lanes l left join outbox.pauses p on p.kind = 'lane' and p.name = l.lane::text
      order by l.lane`,
  )
  const waiting = await outbox.readUnlessSlow(
    'counting what waits in the lanes',
    tx => tx<Waiting[]>`
      select l.lane, w.waiting, extract(epoch from now() - w.oldest)::float8 as oldest_age_seconds
      from generate_series(0, 63) as l (lane)
      cross join lateral (
        select count(*)::int as waiting, min(e.created_at) as oldest
        from (
          select created_at from outbox.events where lane = l.lane order by id limit ${LANE_COUNT_MAX}
        ) e
      ) w`,
  )
  const byLane = new Map(waiting?.map(row => [row.lane, row]))
  return lanes.map(lane => {
    const row = byLane.get(lane.lane)
    const oldest = row?.oldest_age_seconds ?? null
    return { ...lane, waiting: row?.waiting ?? null, oldest_age_seconds: oldest }
  })
}
