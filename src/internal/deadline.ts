/**
 * Settles as `work` does, or rejects with what `onExpiry` makes once `durationMs` have passed.
 * The work itself is not cancelled; a late rejection of it is swallowed.
 */
export async function withDeadline<T>(
  work: PromiseLike<T>,
  durationMs: number,
  onExpiry: () => Error,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const expiry = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(onExpiry()), Math.max(0, durationMs))
  })
  try {
    return await Promise.race([work, expiry])
  } finally {
    clearTimeout(timer)
  }
}
