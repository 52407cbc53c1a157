import { monotonicMs } from '../../../src/internal/monotonic.ts'
import { pause } from '../../../src/internal/pause.ts'

const EVERY_MS = 250
const DEADLINE_MS = 60_000
const NEVER = new AbortController().signal

/** Repeats what other faults may keep from succeeding; healing must succeed in the end. */
export async function repeated(what: string, work: () => Promise<unknown>): Promise<void> {
  const endMs = monotonicMs() + DEADLINE_MS
  for (;;) {
    try {
      await work()
      return
    } catch (cause) {
      if (monotonicMs() > endMs) throw new Error(`${what} did not succeed`, { cause })
      await pause(EVERY_MS, NEVER)
    }
  }
}
