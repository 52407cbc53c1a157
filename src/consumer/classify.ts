import { describeError, SluiceError } from '../errors.ts'
import { CommitInDoubt } from './delivery-store.ts'
import { POSTGRES } from './gates.ts'
import { NotDone } from './message-handling.ts'
import { BadMessage, DependencyDown, type Outcome, RetryAt } from './outcome.ts'

export type NotDoneOutcome = Exclude<Outcome, { kind: 'done' }>

const REASON_CHARS_MAX = 500
const CAUSES_MAX = 5

/** Serialization failure and deadlock: the same transaction, run again, is expected to go through. */
const RERUN = new Set(['40001', '40P01'])

/**
 * The database is not there, or takes no writes for anyone: connection exceptions, operator intervention, too many
 * connections, disk full, a standby; and postgres.js's own codes for a connection that it lost. Codes of sockets such
 * as ECONNREFUSED are not among them: thrown by a handler, they may come from anywhere.
 */
const POSTGRES_DOWN =
  /^(?:08...|57P..|53300|53100|25006|CONNECTION_(?:CLOSED|DESTROYED|ENDED)|CONNECT_TIMEOUT)$/

/** Classes of SQLSTATE by which PostgreSQL refuses a value, and would again. */
const VALUE_REFUSED = /^(?:22|23|54)...$/

/**
 * Turns what was thrown on the way of a message into its outcome. That PostgreSQL is down is seen before the user's
 * classifier is asked: an outage makes no dead letters, whatever it says.
 */
export function outcomeOf(
  error: unknown,
  classify: (error: unknown) => Outcome | undefined = () => undefined,
): NotDoneOutcome {
  if (error instanceof NotDone) return cut(error.outcome)
  const chain = causesOf(error)
  if (chain.some(isPostgresDown)) {
    return { kind: 'down', dependency: POSTGRES, reason: reasonOf(error) }
  }
  const asked = askedOf(error, classify)
  if (asked) return cut(asked)
  for (const link of chain) {
    if (link instanceof NotDone) return cut(link.outcome)
    if (link instanceof BadMessage) return { kind: 'bad', reason: reasonOf(link) }
    if (link instanceof RetryAt) {
      return { kind: 'retry', ...timeOf(link.at), reason: reasonOf(link) }
    }
    if (link instanceof DependencyDown) {
      return { kind: 'down', dependency: link.dependency, reason: reasonOf(link) }
    }
  }
  return { kind: 'retry', reason: reasonOf(error) }
}

/** Whether the transaction lost against another one, and is simply to be run again. */
export function isRerun(error: unknown): boolean {
  return !(error instanceof NotDone) && causesOf(error).some(link => RERUN.has(codeOf(link)))
}

/** One line with the error's name, without what it quotes of a text, cut to 500 characters. */
export function reasonOf(error: unknown): string {
  const name = error instanceof Error ? `${error.name}: ` : ''
  return cutText(`${name}${described(error)}`)
}

/** NUL, which cannot be stored, is taken out. */
export function cutText(text: string): string {
  const clean = text.replaceAll('\0', '')
  return clean.length <= REASON_CHARS_MAX ? clean : `${clean.slice(0, REASON_CHARS_MAX - 1)}…`
}

/** JSON.parse quotes what it read, which is the payload. */
function described(error: unknown): string {
  try {
    const text = describeError(error)
    const quotes = causesOf(error).some(link => link instanceof SyntaxError)
    return quotes ? text.replace(/"[\s\S]*"|'[\s\S]*'/g, '…') : text
  } catch {
    return 'an error that cannot be described'
  }
}

function isPostgresDown(link: unknown, index: number, chain: readonly unknown[]): boolean {
  if (link instanceof CommitInDoubt) return true
  if (link instanceof SluiceError && link.code === 'database') {
    return !chain.slice(index).some(cause => VALUE_REFUSED.test(codeOf(cause)))
  }
  return POSTGRES_DOWN.test(codeOf(link))
}

function askedOf(
  error: unknown,
  classify: (error: unknown) => Outcome | undefined,
): NotDoneOutcome | undefined {
  let asked: Outcome | undefined
  try {
    asked = classify(error)
  } catch {
    // A classifier that fails has no opinion; the error itself matters.
    return undefined
  }
  // Its effects are rolled back already, so all that is left of `done` is that nobody wants it any more.
  return asked?.kind === 'done' ? { kind: 'drop', why: 'ignored' } : asked
}

function cut(outcome: NotDoneOutcome): NotDoneOutcome {
  if (outcome.kind === 'drop') return outcome
  const reason = cutText(String(outcome.reason))
  if (outcome.kind !== 'retry') return { ...outcome, reason }
  return { kind: 'retry', ...(outcome.at ? timeOf(outcome.at) : {}), reason }
}

/** A time that is none would be refused by the database; without it the backoff decides. */
function timeOf(at: Date): { at: Date } | Record<string, never> {
  return at instanceof Date && !Number.isNaN(at.getTime()) ? { at } : {}
}

function causesOf(error: unknown): unknown[] {
  const chain: unknown[] = []
  let link = error
  while (link !== undefined && link !== null && chain.length < CAUSES_MAX) {
    chain.push(link)
    link = link instanceof Error ? link.cause : undefined
  }
  return chain
}

function codeOf(link: unknown): string {
  const code = (link as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}
