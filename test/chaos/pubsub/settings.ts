import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { pubsubFaults } from './faults.ts'

export interface PubsubChaosSettings {
  readonly minutes: number
  readonly seed: number
  /** Requesters that share the reply partitions, those that read all, and workers. */
  readonly parties: readonly [shared: number, instance: number, workers: number]
  readonly faults: readonly string[]
  /** Mean time between the starts of two faults. */
  readonly faultEveryMs: number
  /** Of each requester. */
  readonly requestsPerSecond: number
  readonly out: string
  /** A history to be judged again, instead of a campaign. */
  readonly check: string | null
}

export const USAGE = `usage: npm run chaos:pubsub -- [--minutes 1] [--seed N] [--parties 2,1,2] [--faults a,b,c | all | none]
         [--every seconds] [--rate requests/s] [--out file]
       npm run chaos:pubsub -- --check file
parties: requesters that share reply partitions, requesters that read all, workers
faults:  ${[...pubsubFaults.keys()].join(' ')}`

/** @throws when an argument is not understood */
export function parseSettings(args: readonly string[]): PubsubChaosSettings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '1' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      parties: { type: 'string', default: '2,1,2' },
      faults: { type: 'string', default: 'all' },
      every: { type: 'string', default: '5' },
      rate: { type: 'string', default: '20' },
      out: { type: 'string' },
      check: { type: 'string' },
    },
  })
  const [shared = 0, instance = 0, workers = 0] = values.parties.split(',').map(Number)
  if (!(shared + instance > 0 && workers > 0)) {
    throw new Error(`--parties must be three numbers such as 2,1,2, it is ${values.parties}`)
  }
  return {
    minutes: number('minutes', values.minutes),
    seed: number('seed', values.seed),
    parties: [shared, instance, workers],
    faults: faultsOf(values.faults),
    faultEveryMs: number('every', values.every) * 1_000,
    requestsPerSecond: number('rate', values.rate),
    out: values.out ?? join(tmpdir(), `sluice-pubsub-chaos-${values.seed}.jsonl`),
    check: values.check ?? null,
  }
}

function faultsOf(text: string): string[] {
  if (text === 'none') return []
  if (text === 'all') return [...pubsubFaults.keys()]
  const names = text.split(',')
  const unknown = names.find(name => !pubsubFaults.has(name))
  if (unknown !== undefined) throw new Error(`--faults: there is no fault ${unknown}`)
  return names
}

function number(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name} must be a number above 0, it is ${text}`)
  return value
}
