import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Limits } from './history.ts'
import { faultKinds } from './nemesis.ts'

export interface ChaosSettings {
  readonly minutes: number
  readonly seed: number
  readonly brokers: 1 | 3
  readonly replicas: number
  readonly faults: readonly string[]
  /** Mean time between the starts of two faults. */
  readonly faultEveryMs: number
  readonly leaseMs: number
  readonly transactionsPerSecond: number
  readonly out: string
  /** The checkout whose relay is tested; null for this one. */
  readonly relay: string | null
}

/** The goals of the project; the machine must not be busy with other things. */
export const LIMITS: Limits = { takeoverBeyondLeaseMs: 500, recoveryMs: 2_000, stopMs: 8_500 }

export const USAGE = `usage: npm run chaos -- [--minutes 5] [--seed N] [--brokers 1|3] [--replicas 3]
         [--faults a,b,c | all] [--every seconds] [--lease ms] [--rate transactions/s] [--out file] [--relay checkout]
faults:  ${[...faultKinds.keys()].join(' ')}`

/** @throws when an argument is not understood */
export function parseSettings(args: readonly string[]): ChaosSettings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '5' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      brokers: { type: 'string', default: '1' },
      replicas: { type: 'string', default: '3' },
      faults: { type: 'string', default: 'all' },
      every: { type: 'string', default: '4' },
      lease: { type: 'string', default: '3000' },
      rate: { type: 'string', default: '60' },
      out: { type: 'string' },
      relay: { type: 'string' },
    },
  })
  const brokers = number('brokers', values.brokers)
  if (brokers !== 1 && brokers !== 3) throw new Error('--brokers must be 1 or 3')
  const faults = values.faults === 'all' ? [...faultKinds.keys()] : values.faults.split(',')
  for (const name of faults) {
    if (!faultKinds.has(name)) throw new Error(`--faults: there is no fault ${name}`)
  }
  return {
    minutes: number('minutes', values.minutes),
    seed: number('seed', values.seed),
    brokers,
    replicas: number('replicas', values.replicas),
    faults,
    faultEveryMs: number('every', values.every) * 1_000,
    leaseMs: number('lease', values.lease),
    transactionsPerSecond: number('rate', values.rate),
    out: values.out ?? join(tmpdir(), `sluice-chaos-${values.seed}.jsonl`),
    relay: values.relay ?? null,
  }
}

function number(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name} must be a number above 0, it is ${text}`)
  return value
}
