/** The work took too long; it may go on, unheard. */
export class CallTimeout extends Error {
  override readonly name = 'CallTimeout'

  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs} ms`)
  }
}

/**
 * Runs work with a signal that is aborted together with the given one, and after `timeoutMs`. Work that goes on
 * regardless is not waited for.
 * @throws CallTimeout; the signal's reason; else what the work throws
 */
export async function boundedCall<T>(
  work: (signal: AbortSignal) => Promise<T>,
  { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<T> {
  signal.throwIfAborted()
  const own = new AbortController()
  let giveUp: (reason: unknown) => void = () => {}
  const givenUp = new Promise<never>((_, reject) => {
    giveUp = reason => {
      // Before the abort, so that what the work makes of it cannot come first.
      reject(reason)
      own.abort(reason)
    }
  })
  const timer = setTimeout(() => giveUp(new CallTimeout(timeoutMs)), timeoutMs)
  const aborted = () => giveUp(signal.reason)
  signal.addEventListener('abort', aborted, { once: true })
  try {
    return await Promise.race([work(own.signal), givenUp])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', aborted)
  }
}
