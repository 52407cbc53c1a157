/** A connection is open, and nothing comes back. */
export class NoAnswerError extends Error {
  constructor(withinMs: number) {
    super(`no answer from PostgreSQL within ${withinMs} ms`)
  }
}

/** Not all of an answer is there. */
export class TornAnswerError extends Error {
  constructor() {
    super('the answer of PostgreSQL was torn: rows are missing at its beginning')
  }
}

/**
 * Codes that say the server cannot be reached at all: of sockets, of postgres.js, and PostgreSQL's own while it starts
 * or has no connection left. Not those of a connection that was merely cut: the next one may well work.
 */
const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'ENOENT',
  'CONNECT_TIMEOUT',
  '57P03',
  '53300',
])

/** The error, if it means that the server cannot be reached; null if the server has answered something. */
export function connectionFault(error: unknown): Error | null {
  if (!(error instanceof Error)) return null
  if (error instanceof NoAnswerError) return error
  return UNREACHABLE.has(String((error as { code?: unknown }).code)) ? error : null
}

/** Whether the server is at work: it has refused the statement itself. A connection that was cut says nothing. */
export function serverAnswered(error: unknown): boolean {
  const code = String((error as { code?: unknown } | null)?.code)
  return /^[0-9A-Z]{5}$/.test(code) && !code.startsWith('57P')
}
