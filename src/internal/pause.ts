import { setTimeout as delay } from 'node:timers/promises'

/** setTimeout counts in 32 bits; beyond that it fires at once. */
const PAUSE_MS_MAX = 2 ** 31 - 1

/** Waits `durationMs`, or less if the signal is aborted: it then returns at once. Never rejects. */
export async function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted || durationMs <= 0) return
  try {
    await delay(Math.min(durationMs, PAUSE_MS_MAX), undefined, { signal })
  } catch {
    // Aborted: the caller looks at the signal.
  }
}
