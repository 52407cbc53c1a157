import type { PubsubVerdict } from './checker.ts'

/** A verdict for people. */
export function pubsubTable({ counts, violations, passed }: PubsubVerdict): string {
  const { latencyMs } = counts
  const at = (share: number) => latencyMs[Math.floor(latencyMs.length * share)] ?? 0
  const rows: [string, string][] = [
    ['requests', String(counts.requests)],
    ['how they ended', listed(counts.endings)],
    ['answered more than once', String(counts.answeredAgain)],
    ['timed out, reply in Kafka', String(counts.repliesNotSeen)],
    ['connects', String(counts.connects)],
    ['faults', listed(counts.faults)],
    ['reply after', `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, under faults`],
  ]
  const lines = rows.map(([name, value]) => `  ${name.padEnd(28)}${value}`)
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
