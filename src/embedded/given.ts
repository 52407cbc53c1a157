import { SluiceError } from '../errors.ts'
import type { Parts } from './parts.ts'

/**
 * The parts that the environment names, or undefined when it names none.
 * @throws SluiceError `options` when only one of the two is named
 */
export function givenParts(env: NodeJS.ProcessEnv): Parts | undefined {
  const databaseUrl = env.DATABASE_URL || undefined
  const kafkaBrokers = env.KAFKA_BROKERS || env.KAFKA_BOOTSTRAP_SERVERS || undefined
  if (databaseUrl === undefined && kafkaBrokers === undefined) return undefined
  if (databaseUrl === undefined) throw halfGiven('KAFKA_BROKERS', 'DATABASE_URL')
  if (kafkaBrokers === undefined) throw halfGiven('DATABASE_URL', 'KAFKA_BROKERS')
  return {
    kind: 'given',
    databaseUrl,
    kafkaBrokers,
    stop: async () => {},
    detach: async () => [],
  }
}

function halfGiven(present: string, missing: string): SluiceError {
  return new SluiceError(
    'options',
    `${present} is set but ${missing} is not: set both to use your own PostgreSQL and Kafka, or neither to have both started`,
  )
}
