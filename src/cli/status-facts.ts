import { SluiceError } from '../errors.ts'
import { Database, type Sql } from '../postgres/database.ts'

/** A count that stops at `COUNT_MAX`: `capped` says that there are more. */
export interface Count {
  readonly events: number
  readonly capped: boolean
}

/**
 * What `sluice status --json` prints. null: not known, because counting took longer than two seconds.
 * Ages and times left are seconds by the database's clock.
 */
export interface StatusFacts {
  /** Events still to be published. `oldest_due_age_seconds` is null when none is due. */
  readonly waiting: (Count & { readonly oldest_due_age_seconds: number | null }) | null
  /** Events that failed through their own fault and hold their keys back until the next try. */
  readonly retrying:
    | (Count & { readonly keys: number; readonly next_try_in_seconds: number | null })
    | null
  readonly dead_letters:
    | (Count & { readonly by_reason: readonly { reason: string; events: number }[] })
    | null
  readonly lanes: { readonly owned: number; readonly free: number }
  readonly replicas: readonly ReplicaFacts[]
  readonly breakers: readonly BreakerFacts[]
  /** Lanes and topics that an operator has paused. */
  readonly pauses: readonly PauseFacts[]
  /** null also when no history is kept. */
  readonly published_last_minute: Count | null
}

export interface ReplicaFacts {
  readonly replica: string
  /** null: it owns lanes, but is not registered any more. */
  readonly version: string | null
  readonly host: string | null
  readonly alive: boolean
  readonly up_seconds: number | null
  readonly lanes: number
  /** Until the first of its leases ends, unless it is renewed; null without lanes. */
  readonly lease_left_seconds: number | null
}

export interface BreakerFacts {
  readonly breaker: string
  readonly state: string
  readonly reason: string
  readonly since_seconds: number
  readonly replica: string
}

export interface PauseFacts {
  readonly kind: 'lane' | 'topic'
  readonly name: string
  readonly reason: string
  readonly paused_by: string
  readonly paused_for_seconds: number
}

const COUNT_MAX = 10_000
const STATEMENT_TIMEOUT_MS = 2_000
const QUERY_CANCELED = '57014'
/** undefined_table, invalid_schema_name, undefined_column */
const SCHEMA_MISSING = ['42P01', '3F000', '42703']

/**
 * Reads the state of the outbox from its database, at a cost that does not grow with it.
 * @throws SluiceError `database`: not reachable; `schema`: not there
 */
export async function readStatus(databaseUrl: string): Promise<StatusFacts> {
  const database = new Database({
    url: databaseUrl,
    applicationName: 'sluice status',
    connectionsMax: 1,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  })
  try {
    // One after the other: the deadline of a statement must not run while it queues behind another.
    const waiting = await unlessSlow(database.run('counting the waiting events', selectWaiting))
    const retrying = await unlessSlow(database.run('counting retrying events', selectRetrying))
    const dead = await unlessSlow(database.run('counting dead letters', selectDeadLetters))
    const replicas = await database.run('reading the replicas', selectReplicas)
    const breakers = await database.run('reading the breakers', selectBreakers)
    const pauses = await database.run('reading the pauses', selectPauses)
    const published = await unlessSlow(database.run('counting published events', selectPublished))
    const owned = replicas.reduce((sum, replica) => sum + replica.lanes, 0)
    return {
      waiting: waiting?.[0] ? { ...waiting[0], ...cap(waiting[0].events) } : null,
      retrying: retrying?.[0] ? { ...retrying[0], ...cap(retrying[0].events) } : null,
      dead_letters: dead && { ...cap(dead.reduce(sumOfEvents, 0)), by_reason: [...dead] },
      lanes: { owned, free: LANES - owned },
      replicas: [...replicas],
      breakers: [...breakers],
      pauses: [...pauses],
      published_last_minute: published?.[0]?.kept ? cap(published[0].events) : null,
    }
  } catch (error) {
    if (!SCHEMA_MISSING.includes(stateOf(error))) throw error
    const message = 'the schema "outbox" is missing or too old; run: sluice migrate'
    throw new SluiceError('schema', message, { cause: error })
  } finally {
    await database.stop()
  }
}

const LANES = 64

function cap(events: number): Count {
  return { events: Math.min(events, COUNT_MAX), capped: events > COUNT_MAX }
}

function sumOfEvents(sum: number, row: { readonly events: number }): number {
  return sum + row.events
}

async function unlessSlow<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work
  } catch (error) {
    if (stateOf(error) === QUERY_CANCELED) return null
    throw error
  }
}

function stateOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : null
  return String((cause as { code?: unknown } | null)?.code ?? '')
}

/** The oldest is the first due one among the first thousand of each lane. Index: primary key (lane, id). */
function selectWaiting(sql: Sql) {
  return sql<{ events: number; oldest_due_age_seconds: number | null }[]>`
    select
      (select count(*)::int from (select from outbox.events limit ${COUNT_MAX + 1}) e) as events,
      (
        select extract(epoch from now() - min(due.at))::float8
        from generate_series(0, 63) as l (lane)
        cross join lateral (
          select greatest(head.created_at, head.not_before) as at
          from (
            select e.created_at, e.not_before
            from outbox.events e where e.lane = l.lane order by e.id limit 1000
          ) head
          where head.not_before is null or head.not_before <= now()
          limit 1
        ) due
      ) as oldest_due_age_seconds`
}

/** Index: events_retrying. */
function selectRetrying(sql: Sql) {
  return sql<{ events: number; keys: number; next_try_in_seconds: number | null }[]>`
    select
      count(*)::int as events,
      count(distinct (r.topic, r.key))::int as keys,
      extract(epoch from min(r.not_before) - now())::float8 as next_try_in_seconds
    from (
      select topic, key, not_before from outbox.events where attempts > 0 limit ${COUNT_MAX + 1}
    ) r`
}

/** Of the newest. Index: dead_letters_dead_at. */
function selectDeadLetters(sql: Sql) {
  return sql<{ reason: string; events: number }[]>`
    select d.reason, count(*)::int as events
    from (select reason from outbox.dead_letters order by dead_at desc limit ${COUNT_MAX + 1}) d
    group by d.reason order by events desc, d.reason`
}

function selectReplicas(sql: Sql) {
  return sql<ReplicaFacts[]>`
    with leased as (
      select owner, count(*)::int as lanes, min(leased_until) as until
      from outbox.lanes where owner is not null and leased_until > now() group by owner
    )
    select
      coalesce(r.replica, l.owner) as replica, r.version, r.host,
      coalesce(r.alive_until > now(), false) as alive,
      extract(epoch from now() - r.started_at)::float8 as up_seconds,
      coalesce(l.lanes, 0) as lanes,
      extract(epoch from l.until - now())::float8 as lease_left_seconds
    from outbox.replicas r full join leased l on l.owner = r.replica
    order by 1`
}

function selectBreakers(sql: Sql) {
  return sql<BreakerFacts[]>`
    select breaker, state, reason, extract(epoch from now() - since)::float8 as since_seconds, replica
    from outbox.breakers order by breaker, replica`
}

function selectPauses(sql: Sql) {
  return sql<PauseFacts[]>`
    select kind, name, reason, paused_by, extract(epoch from now() - paused_at)::float8 as paused_for_seconds
    from outbox.pauses order by paused_at, kind, name limit 1000`
}

/** Index: published_at. */
function selectPublished(sql: Sql) {
  return sql<{ events: number; kept: boolean }[]>`
    select
      (
        select count(*)::int from (
          select from outbox.published where published_at > now() - interval '1 minute' limit ${COUNT_MAX + 1}
        ) p
      ) as events,
      exists (select from outbox.published) as kept`
}
