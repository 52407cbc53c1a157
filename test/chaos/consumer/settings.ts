import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { consumerFaults } from './fault-kinds.ts'

export interface ConsumerChaosSettings {
  readonly minutes: number
  readonly seed: number
  readonly members: readonly [number, number]
  readonly faults: readonly string[]
  /** Mean time between the starts of two faults. */
  readonly faultEveryMs: number
  readonly recordsPerSecond: number
  /** `short`: see short-waits.ts. */
  readonly waits: 'short' | 'own'
  readonly out: string
  /** The checkout whose kit is tested; null for this one. */
  readonly checkout: string | null
  /** A history to be judged again, instead of a campaign. */
  readonly check: string | null
}

export const USAGE = `usage: node --import tsx test/chaos/consumer/main.ts [--minutes 1] [--seed N] [--members 2,3]
         [--faults a,b,c | all | none] [--every seconds] [--rate records/s] [--waits short|own] [--out file]
         [--checkout folder]
       node --import tsx test/chaos/consumer/main.ts --check file
faults:  ${[...consumerFaults.keys()].join(' ')}`

/** @throws when an argument is not understood */
export function parseSettings(args: readonly string[]): ConsumerChaosSettings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '1' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      members: { type: 'string', default: '2,3' },
      faults: { type: 'string', default: 'all' },
      every: { type: 'string', default: '3' },
      rate: { type: 'string', default: '60' },
      waits: { type: 'string', default: 'short' },
      out: { type: 'string' },
      checkout: { type: 'string' },
      check: { type: 'string' },
    },
  })
  const faults = faultsOf(values.faults)
  if (values.waits !== 'short' && values.waits !== 'own') {
    throw new Error('--waits must be short or own')
  }
  const [healthy, troubled] = values.members.split(',')
  return {
    minutes: number('minutes', values.minutes),
    seed: number('seed', values.seed),
    members: [number('members', healthy ?? ''), number('members', troubled ?? '')],
    faults,
    faultEveryMs: number('every', values.every) * 1_000,
    recordsPerSecond: number('rate', values.rate),
    waits: values.waits,
    out: values.out ?? join(tmpdir(), `sluice-consumer-chaos-${values.seed}.jsonl`),
    checkout: values.checkout ?? null,
    check: values.check ?? null,
  }
}

function faultsOf(text: string): string[] {
  if (text === 'none') return []
  if (text === 'all') return [...consumerFaults.keys()]
  const names = text.split(',')
  const unknown = names.find(name => !consumerFaults.has(name))
  if (unknown !== undefined) throw new Error(`--faults: there is no fault ${unknown}`)
  return names
}

function number(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name} must be a number above 0, it is ${text}`)
  return value
}
