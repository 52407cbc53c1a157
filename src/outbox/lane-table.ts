import { arrayText } from '../postgres/array-text.ts'
import type { Database } from '../postgres/database.ts'
import type { LaneLease } from './adapter.ts'
import type { HeldLease, LaneStore, Survey } from './lane-store.ts'

export interface ReplicaIdentity {
  /** Unique among all running relays and over time. */
  readonly replica: string
  readonly host: string
  readonly version: string
}

interface LaneRow extends LaneLease {
  readonly low_water: string
}

interface SurveyRow {
  readonly live: number
  readonly free: number
  /** JSON arrays. */
  readonly paused_lanes: string
  readonly paused_topics: string
  readonly breakers: string
}

/**
 * The statements on `outbox.lanes` and `outbox.replicas`. All times are the database's. Wherever several lanes are
 * locked they are locked in ascending order, so that renewals, confirms and hand-overs cannot deadlock.
 */
export class LaneTable implements LaneStore {
  readonly #database: Database
  readonly #identity: ReplicaIdentity

  constructor(database: Database, identity: ReplicaIdentity) {
    this.#database = database
    this.#identity = identity
  }

  async renew(leaseMs: number): Promise<HeldLease[]> {
    const { replica, host, version } = this.#identity
    const rows = await this.#database.run(
      'renewing lane leases',
      sql => sql<LaneRow[]>`
        with alive as (
          insert into outbox.replicas (replica, version, host, alive_until)
          values (${replica}, ${version}, ${host}, clock_timestamp() + ${leaseMs}::float8 * interval '1 ms')
          on conflict (replica) do update set alive_until = excluded.alive_until
        ), gone as (
          delete from outbox.replicas where alive_until < now() - interval '1 hour'
        ), mine as (
          select lane from outbox.lanes where owner = ${replica} order by lane for update
        )
        update outbox.lanes l
        set leased_until = clock_timestamp() + ${leaseMs}::float8 * interval '1 ms'
        from mine
        where l.lane = mine.lane
        returning l.lane, l.epoch, l.low_water`,
    )
    return rows.map(toLease)
  }

  /** Index: the primary keys, and a few rows of each table. */
  async survey(): Promise<Survey> {
    const { replica } = this.#identity
    const [row] = await this.#database.run(
      'looking at the other replicas',
      sql => sql<SurveyRow[]>`
        select
          (select count(*)::int from outbox.replicas
           where alive_until > clock_timestamp() or replica = ${replica}) as live,
          (select count(*)::int from outbox.lanes
           where owner is null or (leased_until < clock_timestamp() and owner <> ${replica})) as free,
          (select coalesce(json_agg(name::int), '[]')::text from outbox.pauses where kind = 'lane') as paused_lanes,
          (select coalesce(json_agg(name), '[]')::text from outbox.pauses where kind = 'topic') as paused_topics,
          (select coalesce(json_agg(distinct b.breaker), '[]')::text
           from outbox.breakers b join outbox.replicas r using (replica)
           where b.replica <> ${replica} and b.state = 'open' and r.alive_until > clock_timestamp()) as breakers`,
    )
    return {
      live: row?.live ?? 1,
      free: row?.free ?? 0,
      pausedLanes: JSON.parse(row?.paused_lanes ?? '[]') as number[],
      pausedTopics: JSON.parse(row?.paused_topics ?? '[]') as string[],
      breakersElsewhere: JSON.parse(row?.breakers ?? '[]') as string[],
    }
  }

  /** Takes up to `count` lanes that nobody owns or whose lease has run out. SKIP LOCKED: a lane whose owner is
   *  confirming right now is not free, whatever its lease says. */
  async acquire(count: number, leaseMs: number): Promise<HeldLease[]> {
    const { replica } = this.#identity
    const rows = await this.#database.run(
      'leasing lanes',
      sql => sql<LaneRow[]>`
        with free as (
          select lane from outbox.lanes
          where owner is null or (leased_until < clock_timestamp() and owner <> ${replica})
          order by lane
          limit ${count}
          for update skip locked
        )
        update outbox.lanes l
        set owner = ${replica}, epoch = l.epoch + 1,
            leased_until = clock_timestamp() + ${leaseMs}::float8 * interval '1 ms'
        from free
        where l.lane = free.lane
        returning l.lane, l.epoch, l.low_water`,
    )
    return rows.map(toLease)
  }

  async giveUp(leases: readonly LaneLease[]): Promise<void> {
    const { replica } = this.#identity
    await this.#database.run(
      'giving lanes up',
      sql => sql`
        with mine as (
          select l.lane from outbox.lanes l
          join unnest(${arrayText(leases.map(l => l.lane))}::text::smallint[],
                      ${arrayText(leases.map(l => l.epoch))}::text::bigint[]) as r (lane, epoch)
            on l.lane = r.lane and l.epoch = r.epoch
          where l.owner = ${replica}
          order by l.lane
          for update of l
        )
        update outbox.lanes l
        set owner = null, leased_until = '-infinity'
        from mine
        where l.lane = mine.lane`,
    )
  }

  async forgetReplica(): Promise<void> {
    await this.#database.run(
      'leaving the list of replicas',
      sql => sql`delete from outbox.replicas where replica = ${this.#identity.replica}`,
    )
  }
}

function toLease({ lane, epoch, low_water }: LaneRow): HeldLease {
  return { lane, epoch, lowWater: BigInt(low_water) }
}
