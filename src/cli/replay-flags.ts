import { InvalidArgumentError } from 'commander'
import { SluiceError } from '../errors.ts'
import type { Moment } from '../operator/moment.ts'
import type { ActFlags } from './operator-flags.ts'

export interface ReplayFlags extends ActFlags {
  readonly id?: readonly string[]
  readonly eventId?: readonly string[]
  readonly topic?: string
  readonly key?: string
  readonly since?: Moment
  readonly until?: Moment
  readonly toTopic?: string
  readonly rate?: number
  readonly limit: number
  readonly resume?: string
}

const RATE_MAX = 100_000

/** `500/s` or `500`. */
export function eventsPerSecond(text: string): number {
  const value = Number(/^(\d{1,6})(?:\/s)?$/.exec(text)?.[1] ?? Number.NaN)
  if (value >= 1 && value <= RATE_MAX) return value
  throw new InvalidArgumentError(`Write events per second, such as 500/s, up to ${RATE_MAX}/s.`)
}

/** @throws SluiceError `options`: what is to be replayed must be said in one of four ways */
export function refuseVague(flags: ReplayFlags): void {
  const { id, eventId, topic, key, since, until, resume, toTopic } = flags
  const ways = [id, eventId, topic, resume].filter(given => given !== undefined).length
  if (ways === 0) {
    const message = 'give --id, --event-id, --topic with --key, or --topic with --since'
    throw new SluiceError('options', message)
  }
  if (ways > 1) {
    throw new SluiceError('options', 'give one of --id, --event-id, --topic and --resume')
  }
  if (key !== undefined && topic === undefined) {
    throw new SluiceError('options', '--key needs --topic: order is kept per topic and key')
  }
  if (topic !== undefined && key === undefined && since === undefined) {
    throw new SluiceError('options', '--topic needs --since or --key: not all that was ever sent')
  }
  if (resume !== undefined && [since, until, toTopic].some(given => given !== undefined)) {
    throw new SluiceError('options', '--resume takes filter, times and topic from the audit')
  }
}
