import type { ConsumeRound } from './consume.ts'
import type { Pace } from './course.ts'
import { median } from './median.ts'
import type { RoomPhase } from './waiting-room.ts'

const NAMES = ['read', 'rawBatches', 'batches', 'rawSingles', 'singles'] as const

export function medianOfConsumed(rounds: readonly ConsumeRound[]): ConsumeRound {
  const of = (name: (typeof NAMES)[number]): Pace => ({
    eventsPerSecond: median(rounds.map(round => round[name].eventsPerSecond)),
    cpuMicrosPerEvent: median(rounds.map(round => round[name].cpuMicrosPerEvent)),
  })
  return Object.fromEntries(NAMES.map(name => [name, of(name)])) as unknown as ConsumeRound
}

export function consumeLines(round: ConsumeRound): string[] {
  const { read, rawBatches, batches, rawSingles, singles } = round
  return [
    line('kafkajs, reading only', read),
    line('a transaction for each batch, by hand', rawBatches),
    line('subscribeBatch', batches, rawBatches),
    line('a transaction for each record, by hand', rawSingles),
    line('subscribe', singles, rawSingles),
  ]
}

export function roomLine(phase: RoomPhase): string {
  const { claimP50Ms, claimP99Ms, claims, completedPerSecond, parkedPerSecond } = phase
  return [
    `  ${phase.phase.padEnd(12)}`,
    `claim p50 ${claimP50Ms.toFixed(1)} ms, p99 ${claimP99Ms.toFixed(1)} ms (${claims})`,
    `completed ${perSecond(completedPerSecond)}`,
    `parked ${perSecond(parkedPerSecond)}`,
  ].join('  ')
}

function line(name: string, pace: Pace, limit?: Pace): string {
  const ratio = limit ? pace.eventsPerSecond / limit.eventsPerSecond : null
  return [
    `  ${name.padEnd(38)}`,
    perSecond(pace.eventsPerSecond).padStart(9),
    `CPU ${pace.cpuMicrosPerEvent.toFixed(0).padStart(3)} µs/event`,
    ...(ratio === null ? [] : [`ratio ${ratio.toFixed(2)}`]),
  ].join('  ')
}

function perSecond(rate: number): string {
  return `${Math.round(rate).toLocaleString('en-US')}/s`
}
