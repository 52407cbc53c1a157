import type { AdmissionPhase } from './admission.ts'

/** One line for each phase, and polls as a share of what a bare server answers. */
export function admissionLines(phases: readonly AdmissionPhase[]): string[] {
  const lines = phases.map(lineOf)
  const rateOf = (name: AdmissionPhase['phase']) =>
    phases.find(({ phase }) => phase === name)?.perSecond ?? 0
  const ratio = rateOf('polls') / rateOf('bare polls')
  return [...lines, `polls as a share of the bare server's: ${ratio.toFixed(2)}`]
}

function lineOf(phase: AdmissionPhase): string {
  const { perSecond, p50Ms, p99Ms, cpuShare, serverCpuShare } = phase
  const server = serverCpuShare === null ? '–' : `${(serverCpuShare * 100).toFixed(0)} %`
  return [
    phase.phase.padEnd(19),
    `${Math.round(perSecond).toLocaleString('en-US')}/s`.padStart(9),
    `p50 ${p50Ms.toFixed(1)} ms`.padStart(12),
    `p99 ${p99Ms.toFixed(1)} ms`.padStart(13),
    `CPU of the server ${server}, of the load ${(cpuShare * 100).toFixed(0)} %`,
  ].join('  ')
}
