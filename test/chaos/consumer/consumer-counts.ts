import type { CaseFile } from './case-file.ts'

export interface ConsumerCounts {
  readonly records: number
  /** Those that come twice in the topics count once. */
  readonly messages: number
  readonly runs: number
  readonly effects: number
  /** Runs that came to their end and were rolled back all the same, because somebody else had or got the message. */
  readonly duplicates: number
  /** Tasks, by their last state. */
  readonly tasks: Readonly<Record<string, number>>
  /** What handlers came to. */
  readonly decisions: Readonly<Record<string, number>>
  readonly faults: Readonly<Record<string, number>>
  /** What buses told, by kind; of members that were killed only what they had to tell at once. */
  readonly told: Readonly<Record<string, number>>
  readonly looks: { readonly offsets: number; readonly rooms: number }
  readonly drainMs: number | null
  /** How long after its time a delayed message that waits for no other took effect, where no fault was on. */
  readonly lateMs: readonly number[]
  /** From the end of an outage, with no other fault on, to the next call of a handler; by fault. */
  readonly recoveryMs: Readonly<Record<string, readonly number[]>>
}

const OUTAGES = /^(broker|postgres)_|black_hole/

export function countsOf(file: CaseFile): ConsumerCounts {
  const { history, runs, messages } = file
  const done = runs.filter(({ end }) => end?.decision === 'done').length
  const effects = history.all('effect').length
  const [looked] = history.all('looked')
  const [rested] = history.all('rested')
  const told = history.all('told').flatMap(({ what, count }) => Array<string>(count).fill(what))
  return {
    records: history.all('record').length,
    messages: messages.size,
    runs: runs.length,
    effects,
    duplicates: done - effects,
    tasks: tally(history.all('task').map(({ state }) => state)),
    decisions: tally(runs.map(({ end }) => end?.decision ?? 'died')),
    faults: tally(history.all('fault_started').map(({ fault }) => fault)),
    told: tally(told),
    looks: { offsets: looked?.offsets ?? 0, rooms: looked?.rooms ?? 0 },
    drainMs: rested?.drained ? rested.drainMs : null,
    lateMs: delays(file),
    recoveryMs: recoveries(file),
  }
}

function delays(file: CaseFile): number[] {
  const late: number[] = []
  for (const { messageId, startedAtMs, attempt } of file.history.all('effect')) {
    const record = file.messages.get(messageId)
    if (!record || record.ordered || record.delayUntilMs === null || attempt > 1) continue
    if (record.delayUntilMs < record.timestampMs) continue
    if (file.disturbances(record.timestampMs, startedAtMs) > 0) continue
    late.push(Math.round(startedAtMs - record.delayUntilMs))
  }
  return late.sort((a, b) => a - b)
}

function recoveries({ history, runs }: CaseFile): Record<string, number[]> {
  const healed = new Map(history.all('fault_healed').map(({ id, atMs }) => [id, atMs]))
  const faults = history.all('fault_started')
  const found: Record<string, number[]> = {}
  for (const { id, fault } of faults) {
    const atMs = healed.get(id)
    if (atMs === undefined || !OUTAGES.test(fault)) continue
    const alone = faults.every(
      other => other.id === id || other.atMs > atMs + 3_000 || (healed.get(other.id) ?? 0) < atMs,
    )
    const next = runs.find(run => run.atMs >= atMs)
    if (!alone || !next) continue
    found[fault] ??= []
    found[fault].push(next.atMs - atMs)
  }
  return found
}

function tally(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of [...names].sort()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
