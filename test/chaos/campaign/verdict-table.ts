import type { CampaignVerdict } from './checker.ts'
import type { Spread } from './timings.ts'

/** A verdict for people. */
export function tableOf(verdict: CampaignVerdict): string {
  const { events, timings } = verdict
  const { committed, published, deadLetters, duplicates, records } = events
  const rows: [string, string][] = [
    ['events committed', String(committed)],
    ['published, records', `${published}, ${records}`],
    ['dead letters as expected', String(deadLetters)],
    ['faults, overlapping pairs', `${verdict.faults}, ${verdict.overlaps}`],
    ['duplicates', `${duplicates} (${((100 * duplicates) / Math.max(1, records)).toFixed(2)} %)`],
    ['drained after', verdict.drainMs === null ? 'never' : `${verdict.drainMs} ms`],
  ]
  if (timings) {
    rows.push(
      [
        'takeover after SIGKILL',
        `${spread(timings.takeover)}; disturbed ${spread(timings.takeoverDisturbed)}`,
      ],
      [
        'recovery after an outage',
        `${spread(timings.recovery)}; disturbed ${spread(timings.recoveryDisturbed)}`,
      ],
      ['stop after SIGTERM', spread(timings.stop)],
      ['largest replica', `${Math.round(timings.rssMaxBytes / 2 ** 20)} MiB`],
    )
  }
  const lines = rows.map(([name, value]) => `  ${name.padEnd(28)}${value}`)
  lines.push(
    '',
    `  ${'fault'.padEnd(28)}${'times'.padStart(6)}${'duplicates'.padStart(12)}${'at most'.padStart(9)}`,
  )
  for (const [fault, { count, duplicates: caused, duplicatesMax }] of Object.entries(
    verdict.byFault,
  ).sort()) {
    lines.push(
      `  ${fault.padEnd(28)}${String(count).padStart(6)}${String(caused).padStart(12)}${String(duplicatesMax).padStart(9)}`,
    )
  }
  lines.push('')
  for (const { rule, count, examples } of verdict.violations) {
    lines.push(`  VIOLATED ${rule}: ${count}`, ...examples.map(example => `    ${example}`))
  }
  lines.push(verdict.passed ? '  PASSED' : '  FAILED')
  return lines.join('\n')
}

function spread({ count, p50Ms, p99Ms, maxMs }: Spread): string {
  if (count === 0) return 'none'
  return `${count} times, p50 ${Math.round(p50Ms ?? 0)} ms, p99 ${Math.round(p99Ms ?? 0)} ms, max ${Math.round(maxMs ?? 0)} ms`
}
