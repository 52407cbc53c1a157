import { describeError } from '../../src/errors.ts'
import { withDeadline } from '../../src/internal/deadline.ts'
import { monotonicMs } from '../../src/internal/monotonic.ts'

const POLL_MS = 20

/**
 * Repeats a predicate until it is true. A predicate that throws counts as false; the last reason is in the error.
 * @param what what becomes true, for the error
 */
export async function until(
  predicate: () => boolean | Promise<boolean>,
  { deadlineMs, what }: { deadlineMs: number; what: string },
): Promise<void> {
  const end = monotonicMs() + deadlineMs
  let cause: unknown
  do {
    try {
      const asked = Promise.resolve(predicate())
      const silent = () => new Error('the predicate did not answer')
      if (await withDeadline(asked, end - monotonicMs(), silent)) return
      cause = undefined
    } catch (error) {
      cause = error
    }
    await new Promise(settle => setTimeout(settle, POLL_MS))
  } while (monotonicMs() < end)
  const reason = cause === undefined ? '' : ` (${describeError(cause)})`
  throw new Error(`did not become true within ${deadlineMs} ms: ${what}${reason}`, { cause })
}
