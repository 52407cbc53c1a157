/**
 * Whose fault an error is, as far as the caller must know it:
 * `options` bad settings · `event` a bad event given by the writer · `schema` the database's schema is missing,
 * newer or altered · `database` PostgreSQL unreachable or failing · `broker` Kafka unreachable or failing ·
 * `lifecycle` a part was used before its start or after its stop, or died.
 */
export type ErrorCode = 'options' | 'event' | 'schema' | 'database' | 'broker' | 'lifecycle'

export interface SluiceErrorOptions {
  readonly cause?: unknown
  /** Repeating the same operation is known to be safe. Default false. */
  readonly retryable?: boolean
  readonly details?: Readonly<Record<string, unknown>>
}

/** The one class of errors that Sluice throws on purpose. */
export class SluiceError extends Error {
  override readonly name = 'SluiceError'
  readonly code: ErrorCode
  /** Repeating the same operation is known to be safe. */
  readonly retryable: boolean
  /** Ids and names for the log line; never SQL, payloads or credentials. */
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: SluiceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
    this.details = Object.freeze({ ...options.details })
  }
}

/** The messages along an error's `cause` chain in one line, with SQLSTATE or system code where there is one. */
export function describeError(error: unknown): string {
  const parts: string[] = []
  let current: unknown = error
  for (let depth = 0; depth < 5 && current !== undefined && current !== null; depth++) {
    if (!(current instanceof Error)) {
      parts.push(textOf(current))
      break
    }
    const code = (current as { code?: unknown }).code
    const known = current instanceof SluiceError || typeof code !== 'string'
    const text = current.message || (current instanceof AggregateError ? firstOf(current) : '')
    parts.push(known || text.includes(code) ? text : `${text} (${code})`)
    current = current.cause
  }
  return [...new Set(parts.filter(Boolean))].join(': ')
}

/** A value that was thrown may be anything, also one that cannot be made a text. */
function textOf(value: unknown): string {
  try {
    return String(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}

function firstOf(error: AggregateError): string {
  const first: unknown = error.errors[0]
  return first instanceof Error ? first.message : textOf(first)
}
