/** Whether the work ends, however it ends, before the time is over and before the signal is aborted. Never rejects. */
export async function endsWithin(
  work: PromiseLike<unknown>,
  { durationMs, signal }: { readonly durationMs?: number; readonly signal?: AbortSignal },
): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  let stop = () => {}
  const over = new Promise<false>(settle => {
    stop = () => settle(false)
    if (durationMs !== undefined) timer = setTimeout(stop, durationMs)
    if (signal?.aborted) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
  const ended = Promise.resolve(work).then(
    () => true,
    () => true,
  )
  try {
    return await Promise.race([ended, over])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}
