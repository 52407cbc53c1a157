import { type Command, InvalidArgumentError } from 'commander'
import { SluiceError } from '../errors.ts'
import { type Mandate, systemActor } from '../operator/audit.ts'
import { type Moment, parseMoment } from '../operator/moment.ts'
import { topicFault } from '../outbox/topic-name.ts'

/** Flags of every command that changes something. Without `--yes` it only says what it would do. */
export interface ActFlags {
  readonly yes?: true
  readonly actor?: string
  readonly reason?: string
  readonly json?: true
}

const TEXT_MAX = 500
const IDS_MAX = 1_000
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const BIGINT_MAX = 9_223_372_036_854_775_807n

/** Adds the flags of `ActFlags`. */
export function addActFlags(command: Command, reasonDoc: string): Command {
  return command
    .option('--yes', 'do it; without it nothing is changed and you see what would be')
    .option('--reason <text>', reasonDoc, shortText)
    .option('--actor <name>', 'who does it, for the audit (default: user@host)', shortText)
    .option('--json', 'print JSON')
}

/** @throws SluiceError `options` when a reason is needed and none was given */
export function mandateOf(flags: ActFlags, reasonNeeded: boolean): Mandate {
  if (reasonNeeded && flags.reason === undefined) {
    throw new SluiceError('options', 'give --reason <text>: it is kept in the audit')
  }
  return { actor: flags.actor ?? systemActor(), reason: flags.reason ?? null }
}

/** The last line of a dry run. */
export function howToDoIt(reasonNeeded: boolean, flags: ActFlags): string {
  const reason = reasonNeeded && flags.reason === undefined ? ' --reason "<why>"' : ''
  return `Nothing was changed. To do it, add: --yes${reason}\n`
}

export function moment(text: string): Moment {
  const given = parseMoment(text)
  if (given) return given
  throw new InvalidArgumentError(
    'Write how long ago, such as 90s, 30m, 2h or 7d, or an instant such as 2026-03-01T12:00Z.',
  )
}

/** A whole number within bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return text => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new InvalidArgumentError(`Write a whole number from ${min} to ${max}.`)
  }
}

/** A topic that Kafka would take. */
export function topicName(text: string): string {
  const fault = topicFault(text)
  if (fault === null) return text
  throw new InvalidArgumentError(`The topic's name ${fault}.`)
}

export function outboxId(text: string): string {
  if (/^\d{1,19}$/.test(text) && BigInt(text) <= BIGINT_MAX) return String(BigInt(text))
  throw new InvalidArgumentError('Write an outbox id, such as 1234.')
}

export function eventId(text: string): string {
  if (UUID.test(text)) return text.toLowerCase()
  throw new InvalidArgumentError('Write an event id: a UUID.')
}

/** For an option that may be given several times. */
export function collected<T>(parse: (text: string) => T): (text: string, before?: T[]) => T[] {
  return (text, before = []) => {
    if (before.length >= IDS_MAX) throw new InvalidArgumentError(`Give at most ${IDS_MAX}.`)
    return [...before, parse(text)]
  }
}

/** An outbox id or an event id. */
export function eitherId(text: string): string {
  return text.includes('-') ? eventId(text) : outboxId(text)
}

export function shortText(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It must not be empty.')
  if (text.length > TEXT_MAX) throw new InvalidArgumentError(`At most ${TEXT_MAX} characters.`)
  if (text.includes('\0')) throw new InvalidArgumentError('It must not hold U+0000.')
  return text
}
