import { randomUUID } from 'node:crypto'

/** Every kind of problem that the API answers with; the key is the last part of its `type`. */
export const PROBLEMS = {
  'bad-input': { status: 400, title: 'Fields of the request are not as they must be' },
  'malformed-body': { status: 400, title: 'The body is not one JSON value' },
  'malformed-request': { status: 400, title: 'The request is not well-formed HTTP' },
  unauthorized: { status: 401, title: 'The admin token is missing or wrong' },
  'admin-closed': { status: 403, title: 'Admin calls are closed to this client' },
  'unknown-session': { status: 404, title: 'No such session' },
  'unknown-room': { status: 404, title: 'No such room' },
  'not-found': { status: 404, title: 'Nothing is served under this path' },
  'method-not-allowed': { status: 405, title: 'The path does not take this method' },
  'request-timeout': { status: 408, title: 'The request took too long to arrive' },
  'too-large': { status: 413, title: 'The body is too large' },
  'uri-too-long': { status: 414, title: 'A part of the path is too long' },
  'not-json': { status: 415, title: 'The body must be application/json' },
  'too-many-joins': { status: 429, title: 'Too many joins from this address' },
  'headers-too-large': { status: 431, title: 'The header is too large' },
  internal: { status: 500, title: 'The request could not be served' },
  busy: { status: 503, title: 'More is waiting than can be taken' },
  'database-away': { status: 503, title: 'The database does not answer' },
  'too-many-streams': { status: 503, title: 'Too many event streams are open' },
  stopping: { status: 503, title: 'This process is stopping' },
} as const satisfies Record<string, { status: number; title: string }>

export type ProblemKind = keyof typeof PROBLEMS

/** A field that is not as it must be; never its value. */
export interface FieldError {
  readonly field: string
  readonly mustBe: string
}

export interface ProblemOptions {
  readonly errors?: readonly FieldError[]
  /** Told to the client as Retry-After. */
  readonly retryAfterSeconds?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly cause?: unknown
}

/** An answer that is an error; thrown by a handler, it is what the client gets. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly kind: ProblemKind
  readonly statusCode: number
  readonly errors: readonly FieldError[] | undefined
  readonly headers: Readonly<Record<string, string>>
  /** Names this one answer, in the log too. */
  readonly instance = `urn:uuid:${randomUUID()}`

  /** @param detail for people: what happened and what cures it; no value of the request, nothing of the inside */
  constructor(kind: ProblemKind, detail: string, options: ProblemOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
    this.statusCode = PROBLEMS[kind].status
    this.errors = options.errors
    const { retryAfterSeconds } = options
    this.headers = {
      ...options.headers,
      ...(retryAfterSeconds !== undefined && { 'retry-after': String(retryAfterSeconds) }),
    }
  }

  /** As RFC 9457 has it. */
  toJSON(): object {
    const { kind, statusCode, message, instance, errors } = this
    const { title } = PROBLEMS[kind]
    return {
      type: `/problems/${kind}`,
      title,
      status: statusCode,
      detail: message,
      instance,
      ...(errors && { errors }),
    }
  }
}

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'
