import type { FastifyError } from 'fastify'
import { SluiceError } from '../../errors.ts'
import { TooBusy } from '../too-busy.ts'
import { type FieldError, Problem } from './problem.ts'
import { mustBe } from './schemas.ts'

const DATABASE_RETRY_SECONDS = 2
const BODY_KIB_MAX = 4

/** What the client is told of whatever was thrown. What is not known becomes `internal`, with nothing of it told. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof TooBusy) {
    const retryAfterSeconds = Math.max(1, Math.ceil(error.retryAfterMs / 1_000))
    const detail = 'More requests wait than there is room for; send the same request again later'
    return new Problem('busy', detail, { retryAfterSeconds, cause: error })
  }
  if (error instanceof SluiceError) return problemOfSluice(error)
  if (isFastifyError(error)) return problemOfFastify(error)
  return new Problem('internal', INTERNAL, { cause: error })
}

const INTERNAL = 'The cause is in the log of the server, under this instance'

function problemOfSluice(error: SluiceError): Problem {
  const options = { cause: error, retryAfterSeconds: DATABASE_RETRY_SECONDS }
  switch (error.code) {
    case 'database':
      return new Problem('database-away', 'Nothing is lost; send the same request again', options)
    case 'lifecycle':
      return new Problem('stopping', 'Send the same request again, to another process', options)
    default:
      return new Problem('internal', INTERNAL, { cause: error })
  }
}

/** Fastify's own errors, and those of its parsers, carry the status that they stand for. */
function isFastifyError(error: unknown): error is FastifyError & { statusCode: number } {
  return error instanceof Error && typeof (error as FastifyError).statusCode === 'number'
}

function problemOfFastify(error: FastifyError & { statusCode: number }): Problem {
  if (error.validation) {
    const errors = fieldErrors(error.validation, error.validationContext ?? 'body')
    const fields = errors.map(({ field }) => field).join(', ')
    return new Problem('bad-input', `See errors: ${fields}`, { errors })
  }
  const { statusCode } = error
  if (statusCode === 413) {
    return new Problem('too-large', `The body must have at most ${BODY_KIB_MAX} KiB`)
  }
  if (statusCode === 414) return new Problem('uri-too-long', 'Give the id of a room or a session')
  if (statusCode === 415) return new Problem('not-json', 'Send content-type: application/json')
  if (error.code === 'FST_ERR_BAD_URL') {
    return new Problem('malformed-request', 'The path must be percent-encoded UTF-8')
  }
  if (statusCode >= 500) return new Problem('internal', INTERNAL, { cause: error })
  const detail = 'The body must be one JSON object, without keys that stand for prototypes'
  return new Problem('malformed-body', detail)
}

type Validation = NonNullable<FastifyError['validation']>

/** One for each field, in the order found. */
function fieldErrors(validation: Validation, context: string): FieldError[] {
  const found = new Map<string, FieldError>()
  for (const { keyword, instancePath, params } of validation) {
    const unknown = keyword === 'additionalProperties'
    const field = unknown
      ? shownName(params.additionalProperty)
      : String(params.missingProperty ?? (instancePath.slice(1) || context))
    if (found.has(field)) continue
    found.set(field, { field, mustBe: unknown ? 'left out: it is not known' : mustBe(field) })
  }
  return [...found.values()]
}

/** A name that the client made up is repeated only if it can do no harm where it is shown. */
function shownName(name: unknown): string {
  return typeof name === 'string' && /^[\w.-]{1,64}$/.test(name) ? name : '(an unknown field)'
}
