import type { LaneLease } from './adapter.ts'
import type { Database } from './database.ts'

export interface ReplicaIdentity {
  /** Unique among all running relays and over time. */
  readonly replica: string
  readonly host: string
  readonly version: string
}

/**
 * The statements on `outbox.lanes` and `outbox.replicas`. All times are the database's. Wherever several lanes are
 * locked they are locked in ascending order, so that renewals, confirms and hand-overs cannot deadlock.
 */
export class LaneTable {
  readonly #database: Database
  readonly #identity: ReplicaIdentity

  constructor(database: Database, identity: ReplicaIdentity) {
    this.#database = database
    this.#identity = identity
  }

  /** Tells the others that we live, renews every lane that is still ours, and returns those. */
  async renew(leaseMs: number): Promise<LaneLease[]> {
    const { replica, host, version } = this.#identity
    return this.#database.run(
      'renewing lane leases',
      sql => sql<LaneLease[]>`
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
        returning l.lane, l.epoch`,
    )
  }

  /** How many replicas live, this one included, and how many lanes are free to take. */
  async survey(): Promise<{ live: number; free: number }> {
    const { replica } = this.#identity
    const [row] = await this.#database.run(
      'looking at the other replicas',
      sql => sql<{ live: number; free: number }[]>`
        select
          (select count(*)::int from outbox.replicas
           where alive_until > clock_timestamp() or replica = ${replica}) as live,
          (select count(*)::int from outbox.lanes
           where owner is null or (leased_until < clock_timestamp() and owner <> ${replica})) as free`,
    )
    return row ?? { live: 1, free: 0 }
  }

  /** Takes up to `count` lanes that nobody owns or whose lease has run out. SKIP LOCKED: a lane whose owner is
   *  confirming right now is not free, whatever its lease says. */
  async acquire(count: number, leaseMs: number): Promise<LaneLease[]> {
    const { replica } = this.#identity
    return this.#database.run(
      'leasing lanes',
      sql => sql<LaneLease[]>`
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
        returning l.lane, l.epoch`,
    )
  }

  /** Makes lanes free for others at once, as far as they are still ours. */
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

/** An array of numbers in PostgreSQL's text form. One text parameter costs postgres.js far less than an array. */
export function arrayText(numbers: readonly (number | string)[]): string {
  return `{${numbers.join(',')}}`
}
