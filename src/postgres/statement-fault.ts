/** Codes of postgres.js for a statement that it cannot write down. */
const UNWRITABLE = new Set(['UNDEFINED_VALUE', 'MAX_PARAMETERS_EXCEEDED', 'NOT_TAGGED_CALL'])

/** Whether a statement was never sent because of itself: a parameter that is undefined, or that has no text. */
export function isUnwritable(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return true
  return UNWRITABLE.has(String((error as { code?: unknown } | null)?.code))
}
