import type {
  ConsumerHistory,
  Effect,
  HappeningOf,
  ProducedRecord,
  RunBegan,
  RunEnded,
} from './history.ts'

/** Faults that spend nothing and excuse nothing. */
const HARMLESS = new Set(['mail_down', 'group_held'])
/** How long a fault has effects after its end: sessions and leases run out, members come back. */
const SETTLE_MS = 15_000

export interface KnownRun extends RunBegan {
  /** Null: its process died in it. */
  readonly end: RunEnded | null
}

/** The history of a campaign, as its rules look at it. */
export class CaseFile {
  readonly history: ConsumerHistory
  readonly campaign: HappeningOf<'campaign'>
  /** Each message by its first record. */
  readonly messages = new Map<string, ProducedRecord>()
  readonly runs: readonly KnownRun[]
  readonly #records = new Map<string, number>()
  readonly #faults: ReturnType<typeof faultsOf>

  constructor(history: ConsumerHistory) {
    const [campaign] = history.all('campaign')
    if (!campaign) throw new Error('the history does not begin with a campaign')
    this.history = history
    this.campaign = campaign
    for (const record of history.all('record')) {
      this.#records.set(record.messageId, (this.#records.get(record.messageId) ?? 0) + 1)
      const known = this.messages.get(record.messageId)
      if (!known || record.offset < known.offset) this.messages.set(record.messageId, record)
    }
    const ends = new Map(history.all('run_ended').map(end => [end.run, end]))
    this.runs = history
      .all('run')
      .map(run => ({ ...run, end: ends.get(run.run) ?? null }))
      .sort((a, b) => a.atMs - b.atMs)
    this.#faults = faultsOf(history)
  }

  get groups(): readonly string[] {
    return this.campaign.groups
  }

  effectsOf(group: string): Effect[] {
    return this.history.all('effect').filter(effect => effect.group === group)
  }

  runsOf(group: string): KnownRun[] {
    return this.runs.filter(run => run.group === group)
  }

  /** It was written more than once, and its records may be handled at the same time: each fails for itself. */
  isRacing(messageId: string): boolean {
    return (this.#records.get(messageId) ?? 0) > 1 && !this.messages.get(messageId)?.ordered
  }

  /** Faults, of those kinds, that may have had effects within this time. */
  disturbances(fromMs: number, toMs: number, kinds = /./): number {
    return this.#faults.filter(
      fault => fault.fromMs <= toMs && fault.toMs + SETTLE_MS >= fromMs && kinds.test(fault.kind),
    ).length
  }
}

/** Values under their names, each in the order in which they came. */
export function grouped<T>(items: Iterable<T>, nameOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const name = nameOf(item)
    const known = groups.get(name)
    if (known) known.push(item)
    else groups.set(name, [item])
  }
  return groups
}

function faultsOf(history: ConsumerHistory) {
  const ends = new Map(history.all('fault_healed').map(({ id, atMs }) => [id, atMs]))
  return history
    .all('fault_started')
    .filter(({ fault }) => !HARMLESS.has(fault))
    .map(({ id, fault: kind, atMs: fromMs }) => {
      return { kind, fromMs, toMs: ends.get(id) ?? Number.POSITIVE_INFINITY }
    })
}
