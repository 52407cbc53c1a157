/**
 * Exponential backoff with full jitter: uniform in [0, min(maxMs, baseMs · 2^(attempt − 1))).
 * Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 *
 * @param attempt counts from 1
 * @param random uniform in [0, 1)
 */
export function fullJitterMs(
  attempt: number,
  baseMs: number,
  maxMs: number,
  random: () => number = Math.random,
): number {
  const doublings = Math.min(Math.max(attempt, 1) - 1, 30)
  return Math.floor(random() * Math.min(maxMs, baseMs * 2 ** doublings))
}
