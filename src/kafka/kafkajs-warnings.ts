import { type LogEntry, type logCreator, logLevel } from 'kafkajs'
import { monotonicMs } from '../internal/monotonic.ts'
import type { Log } from '../telemetry/log.ts'

const REPEAT_AFTER_MS = 60_000
const KINDS_MAX = 200

/** What may be told of an entry: names and numbers; kafkajs adds requests and stacks to some. */
const FACTS = ['groupId', 'memberId', 'topic', 'partition', 'broker', 'retryCount', 'retryTime']

/** The protocol's ordinary way of saying that members come and go; kafkajs logs it as an error. */
const ORDINARY = /rebalanc|not aware of this member|not the current generation|generation id/i

/**
 * Hands the warnings and errors of kafkajs to the user's log, each kind once a minute; never payloads.
 * @param closed aborted once nothing that it says matters any more
 */
export function kafkajsWarnings(log: Log, closed: AbortSignal): logCreator {
  const told = new Map<string, number>()
  return () => entry => {
    if (closed.aborted) return
    const facts = factsOf(entry)
    if (ORDINARY.test(`${entry.log.message} ${facts.reason ?? ''}`)) {
      log.debug(facts, 'kafkajs tells of a rebalance')
      return
    }
    const kind = `${entry.namespace} ${entry.log.message}`
    const now = monotonicMs()
    if (now - (told.get(kind) ?? Number.NEGATIVE_INFINITY) < REPEAT_AFTER_MS) return
    if (told.size >= KINDS_MAX) told.clear()
    told.set(kind, now)
    // Its errors are met by starting it anew, which is told of elsewhere.
    if (entry.level <= logLevel.WARN) log.warn(facts, 'kafkajs warns')
  }
}

function factsOf({ namespace, log }: LogEntry): Record<string, unknown> {
  const given: Record<string, unknown> = { ...log }
  const facts: Record<string, unknown> = { part: namespace, said: log.message }
  for (const name of FACTS) if (given[name] !== undefined) facts[name] = given[name]
  const { error } = given
  if (typeof error === 'string') facts.reason = error
  if (error instanceof Error) facts.reason = error.message
  return facts
}
