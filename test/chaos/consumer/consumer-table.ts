import type { ConsumerVerdict } from './checker.ts'

/** A verdict for people. */
export function consumerTable({ counts, violations, passed }: ConsumerVerdict): string {
  const { records, messages, runs, effects, duplicates, looks, drainMs } = counts
  const rows: [string, string][] = [
    ['records, messages', `${records}, ${messages}`],
    ['handler runs, effects', `${runs}, ${effects}`],
    ['duplicates delivered', String(duplicates)],
    ['what handlers came to', listed(counts.decisions)],
    ['tasks left', listed(counts.tasks)],
    ['looks at offsets, rooms', `${looks.offsets}, ${looks.rooms}`],
    ['told', listed(counts.told)],
    ['faults', listed(counts.faults)],
    ['late after a delay', spread(counts.lateMs)],
    ['drained after', drainMs === null ? 'never' : `${drainMs} ms`],
    ...Object.entries(counts.recoveryMs).map(([fault, times]): [string, string] => [
      `recovery: ${fault}`,
      `${times.length} times, at most ${Math.max(...times)} ms`,
    ]),
  ]
  const lines = rows.map(([name, value]) => `  ${name.padEnd(34)}${value}`)
  for (const { rule, count, examples } of violations) {
    lines.push(`  VIOLATED ${rule}: ${count}`, ...examples.map(example => `    ${example}`))
  }
  lines.push(passed ? '  PASSED' : '  FAILED')
  return lines.join('\n')
}

function listed(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts)
  return entries.length === 0 ? 'none' : entries.map(([name, n]) => `${name} ${n}`).join(', ')
}

function spread(times: readonly number[]): string {
  if (times.length === 0) return 'none'
  const median = times[Math.floor(times.length / 2)]
  return `${times.length} times, p50 ${median} ms, at most ${times.at(-1)} ms`
}
