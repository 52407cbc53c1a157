import { describeError } from '../errors.ts'
import { type Fault, faultOfKafkaError, faultOfWay } from './fault.ts'

const LINKS_MAX = 30

/**
 * Tells whose fault an error of @platformatic/kafka is. Total: whatever is not known is the way's. Its errors are
 * trees: one branch per broker, per partition and, with a code of no meaning, per record.
 */
export function faultOfPlatformatic(error: unknown): Fault {
  const links = linksOf(error)
  const message = [...new Set(links.map(link => link.message).filter(Boolean))].join(': ')
  for (const link of links) {
    const fault = faultOfKafkaError(kafkaNameOf(link), message)
    if (fault !== null) return fault
  }
  if (links.some(link => codeOf(link) === 'PLT_KFK_AUTHENTICATION')) {
    const refused = faultOfKafkaError('SASL_AUTHENTICATION_FAILED', message)
    if (refused !== null) return refused
  }
  const last = links.at(-1)
  return faultOfWay(
    last === undefined ? 'unknown_error' : nameOf(last),
    message || describeError(error),
  )
}

function kafkaNameOf(link: Error): string {
  const { apiId } = link as { apiId?: unknown }
  if (typeof apiId === 'string') return apiId
  // Its metadata drops the broker's code for a missing topic and throws a plain sentence instead.
  const missing = codeOf(link) === 'PLT_KFK_USER' && link.message.startsWith('Unknown topic ')
  return missing ? 'UNKNOWN_TOPIC_OR_PARTITION' : ''
}

/** A system's code such as ECONNREFUSED, else the class: the library's own errors all have the name `Error`. */
function nameOf(link: Error): string {
  const code = codeOf(link)
  if (code !== '' && !code.startsWith('PLT_KFK_')) return code
  return link.name === 'Error' ? link.constructor.name : link.name
}

function codeOf(link: Error): string {
  const { code } = link as { code?: unknown }
  return typeof code === 'string' ? code : ''
}

/** The error, its causes and its parts, each before what lies beneath it. */
function linksOf(error: unknown): Error[] {
  const links: Error[] = []
  const waiting: unknown[] = [error]
  while (waiting.length > 0 && links.length < LINKS_MAX) {
    const link = waiting.shift()
    if (!(link instanceof Error) || links.includes(link)) continue
    links.push(link)
    if (link instanceof AggregateError) waiting.push(...link.errors.slice(0, LINKS_MAX))
    waiting.push(link.cause)
  }
  return links
}
