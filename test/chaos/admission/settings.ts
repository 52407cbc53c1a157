import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { admissionFaults } from './fault-kinds.ts'

export interface AdmissionChaosSettings {
  readonly joins: number
  /** Of each room. */
  readonly capacity: number
  readonly rooms: number
  readonly seed: number
  readonly stayMsMax: number
  /** Who waits unseen for longer is passed over. */
  readonly waitGraceSeconds: number
  readonly faults: readonly string[]
  /** Mean time between the starts of two faults. */
  readonly faultEveryMs: number
  readonly deadlineMs: number
  /** `short`: members of a group are missed after six seconds. */
  readonly waits: 'short' | 'own'
  readonly out: string
  /** The checkout that is tested; null for this one. */
  readonly checkout: string | null
  /** A history to be judged again, instead of a campaign. */
  readonly check: string | null
}

export const USAGE = `usage: node --import tsx test/chaos/admission/main.ts [--joins 10000] [--capacity 200] [--rooms 1] [--seed N]
         [--stay ms] [--grace seconds] [--faults a,b,c | all | off] [--every seconds] [--minutes 30] [--waits short|own]
         [--out file] [--checkout folder]
       node --import tsx test/chaos/admission/main.ts --check file
faults:  ${[...admissionFaults.keys()].join(' ')}`

/** @throws when an argument is not understood */
export function parseSettings(args: readonly string[]): AdmissionChaosSettings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      joins: { type: 'string', default: '10000' },
      capacity: { type: 'string', default: '200' },
      rooms: { type: 'string', default: '1' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      stay: { type: 'string', default: '400' },
      grace: { type: 'string', default: '60' },
      faults: { type: 'string', default: 'all' },
      every: { type: 'string', default: '6' },
      minutes: { type: 'string', default: '30' },
      waits: { type: 'string', default: 'own' },
      out: { type: 'string' },
      checkout: { type: 'string' },
      check: { type: 'string' },
    },
  })
  if (values.waits !== 'short' && values.waits !== 'own') {
    throw new Error('--waits must be short or own')
  }
  return {
    joins: whole('joins', values.joins),
    capacity: whole('capacity', values.capacity),
    rooms: whole('rooms', values.rooms),
    seed: whole('seed', values.seed),
    stayMsMax: whole('stay', values.stay),
    waitGraceSeconds: whole('grace', values.grace),
    faults: faultsOf(values.faults),
    faultEveryMs: above0('every', values.every) * 1_000,
    deadlineMs: above0('minutes', values.minutes) * 60_000,
    waits: values.waits,
    out: values.out ?? join(tmpdir(), `sluice-admission-chaos-${values.seed}.jsonl`),
    checkout: values.checkout ?? null,
    check: values.check ?? null,
  }
}

function faultsOf(text: string): string[] {
  if (text === 'off') return []
  if (text === 'all') return [...admissionFaults.keys()]
  const names = text.split(',')
  const unknown = names.find(name => !admissionFaults.has(name))
  if (unknown !== undefined) throw new Error(`--faults: there is no fault ${unknown}`)
  return names
}

function whole(name: string, text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new Error(`--${name} must be a whole number above 0`)
}

function above0(name: string, text: string): number {
  const value = Number(text)
  if (value > 0) return value
  throw new Error(`--${name} must be a number above 0`)
}
