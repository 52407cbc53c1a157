import type { Command } from 'commander'
import { examine } from '../operator/doctor/doctor.ts'
import type { Finding } from '../operator/doctor/finding.ts'
import type { CliContext } from './context.ts'
import { EXIT_FATAL } from './exit-code.ts'
import { counted, jsonText, plain } from './table.ts'

export function register(program: Command, context: CliContext): void {
  program
    .command('doctor')
    .description(
      'check everything that a relay with these settings depends on; 1 if something fails',
    )
    .option('--json', 'print JSON')
    .action(async (flags: { json?: true }) => {
      const findings = await examine(context.loadOptions(['database', 'kafka']))
      context.stdout.write(flags.json ? jsonText(findings) : printFindings(findings))
      if (findings.some(({ level }) => level === 'fail')) context.setExitCode(EXIT_FATAL)
    })
}

const LABELS = { ok: 'OK  ', warn: 'warn', fail: 'FAIL' } as const

export function printFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ check }) => check.length))
  const lines = findings.flatMap(({ check, level, found, cure }) => {
    const line = `${LABELS[level]}  ${check.padEnd(width)}  ${found}`
    return cure === null ? [line] : [line, `${' '.repeat(width + 8)}→ ${cure}`]
  })
  const failed = findings.filter(({ level }) => level === 'fail').length
  const warned = findings.filter(({ level }) => level === 'warn').length
  const verdict =
    failed > 0
      ? `${counted(failed, 'failure')}, ${counted(warned, 'warning')}`
      : warned > 0
        ? `no failure, ${counted(warned, 'warning')}`
        : 'all is well'
  return `${lines.map(plain).join('\n')}\n\n${verdict}\n`
}
