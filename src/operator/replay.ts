import { randomUUID } from 'node:crypto'
import { SluiceError } from '../errors.ts'
import { monotonicMs } from '../internal/monotonic.ts'
import { pause } from '../internal/pause.ts'
import { type Mandate, writeAudit } from './audit.ts'
import type { OutboxAccess } from './outbox-access.ts'
import { type Place, placesOf, REPLAY_HEADER, type ReplayFilter } from './replay-selection.ts'

/** Rows of one transaction. */
export const REPLAY_ROWS_MAX = 1_000

export interface ReplayOrder {
  /** What was asked for, for the audit; its times are instants. */
  readonly filter: ReplayFilter
  readonly limit: number
  /** What to replay, in this order. */
  readonly places: readonly Place[]
  /** Another topic than the original one; null: the same. */
  readonly toTopic: string | null
  readonly ratePerSecond: number | null
  readonly mandate: Mandate
  /** Names the run in the audit; that of an earlier run goes on with it. */
  readonly run: string
}

export interface Replayed {
  readonly events: number
  readonly transactions: number
}

export function newRun(): string {
  return randomUUID()
}

/**
 * Writes published events into the outbox again, as new events with ids of their own and the header
 * `sluice-replay-of`, the original event id. In transactions of up to `REPLAY_ROWS_MAX` rows, in the given order.
 * Each transaction records its events in the audit, so that an interrupted run can go on.
 *
 * @throws SluiceError `database`, with the run in `details`
 */
export async function replay(
  outbox: OutboxAccess,
  order: ReplayOrder,
  stop: AbortSignal,
): Promise<Replayed> {
  const { places, ratePerSecond } = order
  const size = Math.min(REPLAY_ROWS_MAX, ratePerSecond ?? REPLAY_ROWS_MAX)
  const startedMs = monotonicMs()
  let events = 0
  let transactions = 0
  for (let at = 0; at < places.length && !stop.aborted; at += size) {
    if (ratePerSecond !== null) {
      await pause(startedMs + (at / ratePerSecond) * 1_000 - monotonicMs(), stop)
      if (stop.aborted) break
    }
    events += await write(outbox, order, places.slice(at, at + size))
    transactions += 1
  }
  return { events, transactions }
}

async function write(
  outbox: OutboxAccess,
  { filter, limit, toTopic, mandate, run }: ReplayOrder,
  places: readonly Place[],
): Promise<number> {
  try {
    return await outbox.write('replaying events', async tx => {
      const [row] = await tx<{ events: number; ids: unknown }[]>`
        with again as (
          insert into outbox.events (topic, key, event_type, headers, payload, payload_bytes)
          select coalesce(${toTopic}::text, p.topic), p.key, p.event_type,
            p.headers || jsonb_build_object(${REPLAY_HEADER}::text, p.event_id::text), p.payload, p.payload_bytes
          from ${placesOf(tx, places)} join outbox.published p on p.id = w.id and p.published_at = w.at
          order by w.place
          returning id
        )
        select count(*)::int as events, jsonb_agg(id order by id) as ids from again`
      const events = row?.events ?? 0
      const originals = places.map(addressOf)
      const subject = { run, filter, limit, to_topic: toTopic, originals, new_ids: row?.ids }
      await writeAudit(tx, mandate, { action: 'replay', subject, rows: events })
      return events
    })
  } catch (cause) {
    throw new SluiceError(
      'database',
      `replay ${run} stopped half-way; go on with --resume ${run}`,
      {
        cause,
        retryable: true,
        details: { run },
      },
    )
  }
}

/** What an interrupted run was to do, and what of it is written. */
export interface EarlierRun {
  readonly filter: ReplayFilter
  readonly toTopic: string | null
  readonly limit: number
  /** The addresses of what is written, as `id at`. */
  readonly written: ReadonlySet<string>
}

/**
 * An earlier run by the audit. The filter has fixed times, so that it finds the same events again.
 * @throws SluiceError `options`: the audit knows no such run
 */
export async function readRun(outbox: OutboxAccess, run: string): Promise<EarlierRun> {
  const rows = await outbox.read(
    'reading what the run has written',
    tx => tx<
      { filter: ReplayFilter; to_topic: string | null; limit: number; originals: string[] }[]
    >`
      select subject -> 'filter' as filter, subject ->> 'to_topic' as to_topic, (subject ->> 'limit')::int as limit,
        subject -> 'originals' as originals
      from outbox.audit where action = 'replay' and subject ->> 'run' = ${run}`,
  )
  const [first] = rows
  if (!first) throw new SluiceError('options', `--resume ${run}: the audit knows no such replay`)
  const { filter, to_topic: toTopic, limit } = first
  return { filter, toTopic, limit, written: new Set(rows.flatMap(({ originals }) => originals)) }
}

/** A place as the audit names it. */
export function addressOf({ id, at }: Place): string {
  return `${id} ${at}`
}
