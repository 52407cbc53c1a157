import { SluiceError } from '../../errors.ts'
import { TooBusy } from '../too-busy.ts'
import type { Notice } from './notice-page.ts'

const RETRY_SECONDS = { min: 5, max: 10 } as const

export const UNKNOWN_ROOM: Notice = {
  status: 404,
  heading: 'There is no such room',
  text: 'Check the address that you were given. The room may also have been closed.',
  retrySeconds: null,
}

export const UNKNOWN_SESSION: Notice = {
  status: 404,
  heading: 'This place is not known',
  text: 'It ended some time ago, or its address is not complete. Go back to the room to join again.',
  retrySeconds: null,
}

export const NOT_FOUND: Notice = {
  status: 404,
  heading: 'There is nothing here',
  text: 'Check the address that you were given.',
  retrySeconds: null,
}

export const OTHER_SITE: Notice = {
  status: 403,
  heading: 'This came from another site',
  text: 'Nothing was done. Open the room itself and try again there.',
  retrySeconds: null,
}

const NOT_UNDERSTOOD: Notice = {
  status: 400,
  heading: 'That was not understood',
  text: 'Go back, reload the page and try again.',
  retrySeconds: null,
}

const FAILED: Notice = {
  status: 500,
  heading: 'Something went wrong',
  text: 'That is our fault, not yours. If you had a place in line, you still have it. Try again in a moment.',
  retrySeconds: null,
}

/** What the visitor is told of whatever was thrown; nothing of its inside. */
export function noticeOf(error: unknown): Notice {
  if (error instanceof TooBusy) return busy(Math.ceil(error.retryAfterMs / 1_000))
  if (error instanceof SluiceError) return noticeOfSluice(error)
  const { statusCode, validation } = error as { statusCode?: unknown; validation?: unknown }
  // The only thing that is validated is the id of a room.
  if (validation !== undefined) return UNKNOWN_ROOM
  if (statusCode === 429) return tooMany(error)
  if (statusCode === 503) return away()
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) return NOT_UNDERSTOOD
  return FAILED
}

function noticeOfSluice(error: SluiceError): Notice {
  switch (error.code) {
    case 'database':
    case 'lifecycle':
      return away()
    case 'options':
      return UNKNOWN_ROOM
    default:
      return FAILED
  }
}

function away(): Notice {
  return {
    status: 503,
    heading: 'One moment, please',
    text: 'The waiting room cannot be reached right now. If you had a place in line, you still have it.',
    retrySeconds: jitteredSeconds(RETRY_SECONDS.min),
  }
}

function busy(afterSeconds: number): Notice {
  return {
    status: 503,
    heading: 'Very many are joining',
    text: 'More people are joining at this moment than can be served. Wait a moment, then join again.',
    retrySeconds: jitteredSeconds(Math.max(RETRY_SECONDS.min, afterSeconds)),
  }
}

function tooMany(error: unknown): Notice {
  const headers = (error as { headers?: Record<string, unknown> }).headers
  const afterSeconds = Number(headers?.['retry-after'])
  return {
    status: 429,
    heading: 'Too many joins from your network',
    text: 'Many people may share your address. Wait a moment, then join again.',
    retrySeconds: jitteredSeconds(afterSeconds > 0 ? afterSeconds : RETRY_SECONDS.min),
  }
}

/** Spread, so that those who were turned away together do not come back together. */
function jitteredSeconds(min: number): number {
  return min + Math.floor(Math.random() * (RETRY_SECONDS.max - RETRY_SECONDS.min + 1))
}
