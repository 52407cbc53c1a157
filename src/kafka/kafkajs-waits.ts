import { pause } from '../internal/pause.ts'

/** Whether the work ends in time; it goes on if not. Rejects as the work does. */
export async function endsWithin(
  work: Promise<unknown>,
  durationMs: number,
  hurry?: AbortSignal,
): Promise<boolean> {
  const ended = new AbortController()
  const signal = hurry ? AbortSignal.any([hurry, ended.signal]) : ended.signal
  const late = pause(durationMs, signal).then(() => false)
  try {
    return await Promise.race([work.then(() => true), late])
  } finally {
    ended.abort()
  }
}

/** Runs work that is asked to end after `limitMs` or at `hurry`, and left alone a quarter of that, or half a second, later. */
export async function drainWithin(
  work: (signal: AbortSignal) => Promise<void>,
  limitMs: number,
  hurry: AbortSignal,
): Promise<void> {
  const limit = new AbortController()
  const working = work(limit.signal)
  try {
    if (await endsWithin(working, limitMs, hurry)) return
    limit.abort()
    await endsWithin(working, Math.min(500, limitMs / 4))
  } finally {
    working.catch(() => {})
  }
}
