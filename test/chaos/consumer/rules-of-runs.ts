import { type CaseFile, grouped, type KnownRun } from './case-file.ts'
import type { Findings } from './consumer-rules.ts'
import type { Decision } from './history.ts'

/** The handler's clock counts whole milliseconds. */
const CLOCK_MS = 2
/** How long what is in work, and a look at the holds, may go on after a hold. */
const HOLD_GRACE_MS = 3_000
/** Claims that one fault can waste of one task. */
const CLAIMS_PER_FAULT = 2

const CUTTING_OFF = /frozen|black_hole|slow/

/** Decisions that count as an attempt. */
const SPENDING = new Set<Decision>(['retry', 'retry_at', 'hold', 'bug', 'bad'])

/** I3, I6, I8 and I12: when and how often handlers were called. */
export function judgeRuns(file: CaseFile, findings: Findings): void {
  for (const group of file.groups) {
    const runs = file.runsOf(group)
    judgeOvertaking(file, runs, findings)
    for (const own of grouped(runs, run => run.messageId).values()) {
      judgeAttempts(file, own, findings)
      judgeTimes(file, own, findings)
    }
  }
  judgeHolds(file, findings)
}

/** Once a record of a key was begun, no earlier one is begun any more. */
function judgeOvertaking(file: CaseFile, runs: readonly KnownRun[], findings: Findings): void {
  const furthest = new Map<string, { offset: number; atMs: number }>()
  for (const { messageId, atMs, group, attempt } of runs) {
    const record = file.messages.get(messageId)
    // A batch that failed is begun again in parts.
    if (!record?.ordered || attempt === null) continue
    const { topic, key, offset } = record
    const name = `${topic}/${key}`
    const before = furthest.get(name)
    if (!before || offset > before.offset) furthest.set(name, { offset, atMs })
    // A member that stood still may begin, and never commit, what is others' already.
    else if (offset < before.offset && atMs > before.atMs && !file.disturbances(atMs, atMs)) {
      findings.add('overtaken', `${group} ${name}: ${before.offset} was begun before ${offset}`)
    }
  }
}

/** An attempt is counted for each failure, and for nothing that is not the message's fault. */
function judgeAttempts(file: CaseFile, runs: readonly KnownRun[], findings: Findings): void {
  const { attemptsMax } = file.campaign
  let spent = 0
  let unclear = 0
  let held = false
  for (const { attempt, atMs, end, group, messageId } of runs) {
    if (attempt === null) return
    const faults = file.disturbances((runs[0] as KnownRun).atMs, atMs)
    const most = 1 + spent + unclear + CLAIMS_PER_FAULT * faults
    const what = `${group} ${messageId}: ${attempt} after ${spent} failures`
    if (attempt > most) findings.add('attempt_spent', what)
    if (attempt < 1 + spent && faults === 0 && !file.isRacing(messageId)) {
      findings.add('attempt_not_counted', what)
    }
    // One more, for one that was held, or lost by its worker, at its last attempt.
    const more = faults > 0 || unclear > 0 || held ? 1 : 0
    if (attempt > attemptsMax + more) findings.add('attempts_beyond_max', what)
    if (end === null || end.decision === 'broken' || end.decision === 'done') unclear++
    else if (SPENDING.has(end.decision)) spent++
    held ||= end?.decision === 'hold'
  }
}

/** Nothing is begun before its time, whoever has set it. */
function judgeTimes(file: CaseFile, runs: readonly KnownRun[], findings: Findings): void {
  let asked: KnownRun | null = null
  for (const run of runs) {
    const { messageId, group, atMs, attempt } = run
    const until = file.messages.get(messageId)?.delayUntilMs ?? 0
    if (atMs + CLOCK_MS < until) findings.add('early', `${group} ${messageId}: ${until - atMs} ms`)
    // With the same attempt it is the same claim again: what was asked for could not be stored.
    const again = file.isRacing(messageId) ? 0 : (asked?.end?.againAtMs ?? 0)
    if (asked && Number(attempt) > Number(asked.attempt) && atMs + CLOCK_MS < again) {
      findings.add(
        'early',
        `${group} ${messageId}: ${again - atMs} ms before it asked to come again`,
      )
    }
    asked = run.end?.decision === 'retry_at' ? run : null
  }
}

/** While a group is held it handles nothing, and the other goes on. */
function judgeHolds(file: CaseFile, findings: Findings): void {
  for (const { group, fromMs, toMs } of file.history.all('group_held')) {
    const sinceMs = fromMs + HOLD_GRACE_MS
    if (sinceMs >= toMs) continue
    const within = file.runs.filter(({ atMs }) => atMs > sinceMs && atMs < toMs)
    const own = within.filter(run => run.group === group)
    // It outlives rebalances, deaths and restarts, of whatever; but who is cut off does not hear of it.
    if (own.length > 0 && !file.disturbances(fromMs, toMs, CUTTING_OFF)) {
      findings.add('ran_while_held', `${group}: ${own.length} runs`)
    }
    if (file.disturbances(fromMs, toMs) > 0) continue
    const isProducing = file.history
      .all('record')
      .some(({ timestampMs }) => timestampMs > sinceMs && timestampMs < toMs - 1_000)
    if (isProducing && within.length === own.length) {
      findings.add('not_isolated', `nothing ran while ${group} was held`)
    }
  }
}
