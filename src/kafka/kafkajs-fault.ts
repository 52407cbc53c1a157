import { describeError } from '../errors.ts'
import { type Fault, faultOfKafkaError, faultOfWay } from './fault.ts'

const LINKS_MAX = 5

/** Tells whose fault an error of kafkajs is. Total: whatever is not known is the way's. */
export function faultOfKafkajs(error: unknown): Fault {
  const chain = chainOf(error)
  const message = describeError(error)
  for (const link of chain) {
    const fault = faultOfKafkaError(String((link as { type?: unknown }).type ?? ''), message)
    if (fault !== null) return fault
  }
  if (chain.some(link => link.name === 'KafkaJSSASLAuthenticationError')) {
    const refused = faultOfKafkaError('SASL_AUTHENTICATION_FAILED', message)
    if (refused !== null) return refused
  }
  return faultOfWay(chain.at(-1)?.name ?? 'unknown_error', message)
}

function chainOf(error: unknown): Error[] {
  const chain: Error[] = []
  let current = error
  while (current instanceof Error && chain.length < LINKS_MAX) {
    chain.push(current)
    current = current.cause
  }
  return chain
}
