import { SluiceError } from '../errors.ts'
import { databaseNow, instantOf, type Moment } from '../operator/moment.ts'
import type { OutboxAccess } from '../operator/outbox-access.ts'
import { addressOf, readRun } from '../operator/replay.ts'
import {
  type Place,
  type ReplayFilter,
  readHistory,
  selectPublished,
} from '../operator/replay-selection.ts'
import type { ReplayFlags } from './replay-flags.ts'

export interface ReplayPlan {
  readonly filter: ReplayFilter
  readonly limit: number
  readonly toTopic: string | null
  /** What is to be replayed, in its original order. */
  readonly places: readonly Place[]
  /** Events that the run to be resumed has written already. */
  readonly earlier: number
  /** null: nothing is kept. */
  readonly historySince: Date | null
}

/** Ids and keys have no index of their own: they are looked for in so much of the history. */
const WINDOW: Moment = { agoMs: 24 * 3_600_000 }

/**
 * Finds what is to be replayed.
 * @throws SluiceError `options`: no history is kept, or more events match than the limit
 */
export async function planReplay(outbox: OutboxAccess, flags: ReplayFlags): Promise<ReplayPlan> {
  const { since: historySince } = await readHistory(outbox)
  if (historySince === null) {
    throw new SluiceError(
      'options',
      'outbox.published is empty: nothing was published yet, or no history is kept (SLUICE_RETENTION is 0)',
    )
  }
  const run = flags.resume === undefined ? null : await readRun(outbox, flags.resume)
  const filter = run?.filter ?? (await filterOf(outbox, flags))
  const limit = run?.limit ?? flags.limit
  const { places, more } = await selectPublished(outbox, filter, limit)
  if (more) {
    throw new SluiceError(
      'options',
      `more than ${limit} events match: narrow --since and --until, or raise --limit`,
    )
  }
  const left = run ? places.filter(place => !run.written.has(addressOf(place))) : places
  const toTopic = run ? run.toTopic : (flags.toTopic ?? null)
  return { filter, limit, toTopic, places: left, earlier: run?.written.size ?? 0, historySince }
}

async function filterOf(outbox: OutboxAccess, flags: ReplayFlags): Promise<ReplayFilter> {
  const now = await databaseNow(outbox)
  const since = flags.since ?? (flags.id === undefined ? WINDOW : null)
  return {
    ids: flags.id ?? null,
    eventIds: flags.eventId ?? null,
    topic: flags.topic ?? null,
    key: flags.key ?? null,
    since: since && instantOf(since, now),
    until: flags.until ? instantOf(flags.until, now) : now,
  }
}
