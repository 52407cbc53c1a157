import type { AdmissionCounts, Spread } from './admission-counts.ts'
import type { AdmissionVerdict } from './checker.ts'

/** A verdict for people. */
export function admissionTable({ counts, violations, passed }: AdmissionVerdict): string {
  const lines = rowsOf(counts).map(([name, value]) => `  ${name.padEnd(34)}${value}`)
  for (const { rule, count, examples } of violations) {
    lines.push(`  VIOLATED ${rule}: ${count}`, ...examples.map(example => `    ${example}`))
  }
  lines.push(passed ? '  PASSED' : '  FAILED')
  return lines.join('\n')
}

function rowsOf(counts: AdmissionCounts): [string, string][] {
  const { accepted, records, changes, rooms, turns, granted, grantsPerSecond } = counts
  const { capacityChanges, pauses, drainMs } = counts
  return [
    ['joins answered 202', `${accepted} in ${rooms} rooms`],
    ['records of joins, of changes', `${records}, ${changes}`],
    ['grants', `${granted}, ${grantsPerSecond.toFixed(0)}/s, in ${turns} transactions`],
    ['sessions ended', listed(counts.ended)],
    ['changes of capacity, pauses', `${capacityChanges}, ${pauses}`],
    ['faults', listed(counts.faults)],
    ['place free while one waits', spread(counts.idle)],
    ['the same, near faults', spread(counts.idleInFaults)],
    ['lease over, place not yet back', spread(counts.overdue)],
    ['the same, near faults', spread(counts.overdueInFaults)],
    ['joins read again', String(counts.replayed)],
    ['drained after', drainMs === null ? 'never' : `${drainMs} ms`],
  ]
}

function listed(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts)
  return entries.length === 0 ? 'none' : entries.map(([name, n]) => `${name} ${n}`).join(', ')
}

function spread({ times, p50Ms, p99Ms, maxMs, late }: Spread): string {
  if (times === 0) return 'never'
  return `${times} times, p50 ${p50Ms} ms, p99 ${p99Ms} ms, at most ${maxMs} ms, ${late} over 1 s`
}
