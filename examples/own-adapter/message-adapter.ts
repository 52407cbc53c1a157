import { randomUUID } from 'node:crypto'
import type { Pool } from 'pg'
import type {
  FailedEvent,
  OutboxAdapter,
  OutboxEvent,
  PublishedEvent,
  Reservation,
  ReserveOptions,
  Settled,
} from '../../src/index.ts' // 'sluice-outbox' in your project

/** The relay compares reservations with this clock. */
const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6

/** An event as it is read, whose payload is in one of two columns. */
type MessageRow = Omit<OutboxEvent, 'payload'> & { body: string | null; bytes: Buffer | null }

/** A lease is trusted a little less long than the database grants it, since clocks differ in speed. */
const TRUST = 0.9

/**
 * Publishes `shop.messages`. The whole table is one lane with one lease, so there is one reservation at a time, over all
 * replicas. That suffices for some thousand messages a second; with several lanes, replicas would share the work.
 */
export class MessageAdapter implements OutboxAdapter {
  readonly #pool: Pool
  readonly #owner = randomUUID()
  #reserved = false
  #stopped = false

  constructor(pool: Pool) {
    this.#pool = pool
  }

  async reserveNewEvents(
    limit: number,
    reserveDurationMs: number,
    options: ReserveOptions,
  ): Promise<Reservation | null> {
    // Set before the first await: a second call that comes meanwhile must find it.
    if (this.#reserved || this.#stopped) return null
    this.#reserved = true
    let reservation: Reservation | null = null
    try {
      const askedMs = monotonicMs()
      const epoch = await this.#lease(reserveDurationMs)
      const events = epoch === null ? [] : await this.#read(limit, options)
      if (epoch === null || events.length === 0) return null
      // Counted from before the question, so that a slow answer does not lengthen it.
      const trustedUntilMs = askedMs + reserveDurationMs * TRUST
      reservation = { events, leases: [{ lane: 0, epoch }], trustedUntilMs }
      return reservation
    } finally {
      if (reservation === null) this.#reserved = false
    }
  }

  /** Takes the lease, or keeps it; the epoch grows when its owner changes. Null: another replica has it. */
  async #lease(durationMs: number): Promise<string | null> {
    const { rows } = await this.#pool.query<{ epoch: string }>(
      `update shop.lease
       set epoch = epoch + (owner is distinct from $1)::int, owner = $1,
         leased_until = now() + $2 * interval '1 ms'
       where owner is null or owner = $1 or leased_until < now()
       returning epoch::text`,
      [this.#owner, durationMs],
    )
    return rows[0]?.epoch ?? null
  }

  /** Due messages in the order of ids, but none behind one of its subject that waits for a retry. */
  async #read(limit: number, { exceptTopics, bytesMax }: ReserveOptions): Promise<OutboxEvent[]> {
    const { rows } = await this.#pool.query<MessageRow>(
      `select 0 as lane, id::text, message_id as "eventId", channel as topic, subject as key, kind as "eventType",
         body, body_bytes as bytes, headers::text as "headersJson", attempts,
         extract(epoch from now() - created_at)::float8 * 1000 as "ageMs",
         coalesce(expires_at <= now(), false) as expired
       from (
         select *, sum(size) over (order by id rows unbounded preceding) - size as size_before
         from (
           select m.*, coalesce(octet_length(m.body), octet_length(m.body_bytes), 0) as size
           from shop.messages m
           where not m.dead and m.deliver_after <= now() and m.channel <> all ($2)
             and not exists (
               select from shop.messages w
               where w.channel = m.channel and w.subject = m.subject and w.id < m.id
                 and (w.attempts > 0 and not w.dead or w.blocks_subject)
             )
           order by m.id
           limit $1
         ) due
       ) m
       where size_before < $3
       order by m.id`,
      [limit, exceptTopics, bytesMax],
    )
    return rows.map(({ body, bytes, ...event }) => ({ ...event, payload: body ?? bytes }))
  }

  /** The broker has them: they leave the table. The lease's row is locked, so that a takeover waits for the end. */
  async confirm(reservation: Reservation, published: readonly PublishedEvent[]): Promise<Settled> {
    const { rows } = await this.#pool.query<{ held: boolean; settled: number }>(
      `with held as materialized (
         select from shop.lease where owner = $1 and epoch = $2 for share
       ), gone as (
         delete from shop.messages where id = any ($3::bigint[]) and not dead and exists (select from held)
         returning id
       )
       select exists (select from held) as held, (select count(*)::int from gone) as settled`,
      [this.#owner, epochOf(reservation), published.map(({ event }) => event.id)],
    )
    return { settled: rows[0]?.settled ?? 0, fenced: rows[0]?.held ? 0 : published.length }
  }

  /** Refused: another attempt later, or never. A row that has moved on since it was read is left alone. */
  async confirmFailed(
    reservation: Reservation,
    failures: readonly FailedEvent[],
  ): Promise<Settled> {
    const items = failures.map(({ event, kind, reason, error, retryDelayMs, blocksKey }) => ({
      id: event.id,
      attempts: event.attempts,
      dead: kind === 'dead',
      blocks: blocksKey === true,
      delay: retryDelayMs,
      reason,
      error,
    }))
    const { rows } = await this.#pool.query<{ held: boolean; ids: string[] }>(
      `with held as materialized (
         select from shop.lease where owner = $1 and epoch = $2 for share
       ), changed as (
         update shop.messages m
         set attempts = m.attempts + 1, dead = f.dead, blocks_subject = f.blocks, reason = f.reason, error = f.error,
           deliver_after = now() + f.delay * interval '1 ms'
         from json_to_recordset($3) as f (
           id bigint, attempts int, dead boolean, blocks boolean, delay float8, reason text, error text
         )
         where m.id = f.id and m.attempts = f.attempts and not m.dead and exists (select from held)
         returning m.id
       )
       select exists (select from held) as held, array(select id::text from changed) as ids`,
      [this.#owner, epochOf(reservation), JSON.stringify(items)],
    )
    const ids = new Set(rows[0]?.ids)
    return { settled: ids.size, fenced: rows[0]?.held ? 0 : failures.length, ids }
  }

  async renew(reservation: Reservation, reserveDurationMs: number): Promise<number> {
    const askedMs = monotonicMs()
    const { rowCount } = await this.#pool.query(
      `update shop.lease set leased_until = now() + $3 * interval '1 ms' where owner = $1 and epoch = $2`,
      [this.#owner, epochOf(reservation), reserveDurationMs],
    )
    return rowCount === 1 ? askedMs + reserveDurationMs * TRUST : 0
  }

  release(_: Reservation): void {
    this.#reserved = false
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#pool.query('update shop.lease set owner = null where owner = $1', [this.#owner])
  }
}

function epochOf({ leases }: Reservation): string {
  return leases[0]?.epoch ?? '0'
}
