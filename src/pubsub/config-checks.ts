import { SluiceError } from '../errors.ts'
import type { KafkaConnection } from '../kafka/connection.ts'
import { topicFault } from '../outbox/topic-name.ts'

const BROKER = /^(?:\[[\da-fA-F:.]+\]|[\w.-]+):\d{1,5}$/
const GROUP_CHARS_MAX = 249
const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512'] as const

export type SaslMechanism = (typeof MECHANISMS)[number]

/** @throws SluiceError `options`: what the field must be, and what was given in shape */
export function refuse(field: string, mustBe: string, value: unknown): never {
  throw new SluiceError('options', `${field} must be ${mustBe}, it is ${shapeOf(value)}`)
}

export function wholeNumber(field: string, value: unknown, min: number, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) {
    return value
  }
  return refuse(field, `a whole number from ${min} to ${max}`, value)
}

export function topicName(field: string, value: unknown): string {
  if (typeof value !== 'string') return refuse(field, "a topic's name", value)
  const fault = topicFault(value)
  if (fault !== null)
    throw new SluiceError('options', `${field} must be a topic's name: it ${fault}`)
  return value
}

export function groupName(field: string, value: unknown): string {
  const legal = typeof value === 'string' && value !== '' && value.length <= GROUP_CHARS_MAX
  return legal ? value : refuse(field, `a name of 1 to ${GROUP_CHARS_MAX} characters`, value)
}

export function connection(given: KafkaConnection): KafkaConnection {
  const { brokers, clientId, sasl, tls } = given ?? {}
  const known = Array.isArray(brokers) && brokers.length > 0
  if (!known || !brokers.every(each => typeof each === 'string' && BROKER.test(each))) {
    refuse('connection.brokers', 'a list of host:port, without a scheme', brokers)
  }
  if (typeof clientId !== 'string' || clientId === '') {
    refuse('connection.clientId', 'a name', clientId)
  }
  if (sasl !== undefined) credentials(sasl)
  return Object.freeze({
    brokers: Object.freeze([...brokers]),
    clientId,
    ...(sasl && { sasl: Object.freeze({ ...sasl }) }),
    ...(tls && { tls: Object.freeze({ ...tls }) }),
  })
}

/** Never tells a value: a password may stand in the wrong place. */
function credentials(sasl: {
  readonly mechanism: unknown
  readonly username: unknown
  readonly password: unknown
}): void {
  mechanism(sasl.mechanism)
  for (const field of ['username', 'password'] as const) {
    const value = sasl[field]
    if (typeof value !== 'string' || value === '') {
      refuse(field, 'a text that is not empty', typeof value === 'string' ? '' : value)
    }
  }
}

/** As AWS and Kafka write it, or in lower case. */
export function mechanism(value: unknown): SaslMechanism {
  const found = MECHANISMS.find(each => each === String(value).toLowerCase())
  return found ?? refuse('mechanism', `one of ${MECHANISMS.join(', ')}`, value)
}

/** No key that nobody reads: a slip of the pen would be a default. */
export function knownKeys(given: object, known: Readonly<Record<string, true>>): void {
  for (const key of Object.keys(given)) {
    if (known[key]) continue
    const names = Object.keys(known).join(', ')
    throw new SluiceError('options', `${key} is no option of config: it takes ${names}`)
  }
}

function shapeOf(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return `a text of ${value.length} characters`
  if (Array.isArray(value)) return `a list of ${value.length}`
  return typeof value === 'number' ? String(value) : `of type ${typeof value}`
}
