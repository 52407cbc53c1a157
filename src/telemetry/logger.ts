import pino from 'pino'
import { describeError, SluiceError } from '../errors.ts'
import type { Log } from './log.ts'

/** Fields that never reach a log, wherever a caller puts them by mistake, two levels deep. */
const SECRET_FIELDS = [
  'password',
  'databaseUrl',
  'sasl',
  'tls',
  'payload',
  'headersJson',
  'headers',
]

/** What a connection string would show of itself inside some library's message. */
const CREDENTIALS_IN_URL = /(\/\/[^\s:/@]*:)[^\s/]*@/g

/**
 * JSON lines on stdout, written at once, so that the last line before an exit is not lost.
 * @param destination where the lines go instead
 */
export function createLogger(level: string, destination?: pino.DestinationStream): Log {
  const describe = (error: unknown) => errorFacts(error, level === 'debug')
  return pino(
    {
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      serializers: { err: describe, error: describe },
      redact: {
        paths: SECRET_FIELDS.flatMap(field => [field, `*.${field}`, `*.*.${field}`]),
        censor: '***',
      },
    },
    destination ?? pino.destination({ dest: 1, sync: true }),
  )
}

function errorFacts(error: unknown, withStack: boolean): unknown {
  const text = describeError(error).replace(CREDENTIALS_IN_URL, '$1***@')
  if (!(error instanceof Error)) return text
  return {
    message: text,
    ...(error instanceof SluiceError && { code: error.code, ...error.details }),
    ...(withStack && { stack: error.stack?.replace(CREDENTIALS_IN_URL, '$1***@') }),
  }
}
