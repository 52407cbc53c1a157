import type { NotDoneOutcome } from './classify.ts'
import { BatchHandling, type Handling } from './handling.ts'
import { expired, type Item } from './memory-group.ts'
import type { MemoryTransactions } from './memory-transactions.ts'

export interface MemoryHandlingParts {
  readonly handling: Handling<unknown>
  readonly transactions: MemoryTransactions
}

export type Handled =
  | { readonly kind: 'done' | 'ignored' }
  /** By the one who aborted the signal: it is as if it had not been begun. */
  | { readonly kind: 'given_up' }
  | {
      readonly kind: 'not_done'
      readonly outcome: NotDoneOutcome
      readonly error: unknown
      /** Counts from 1; 0: its handler was not called. */
      readonly attempt: number
    }

/** One message in a transaction of its own. Never rejects. */
export async function handleItem(
  item: Item,
  { handling, transactions }: MemoryHandlingParts,
  signal: AbortSignal,
): Promise<Handled> {
  const { reading, attempts } = item
  if (reading.kind === 'ignored') return { kind: 'ignored' }
  if (reading.kind === 'bad') {
    return notCalled({ kind: 'bad', reason: reading.reason })
  }
  if (expired(item)) return notCalled({ kind: 'drop', why: 'expired' })
  const attempt = attempts + 1
  try {
    await transactions.run(tx => handling.handle(reading.message, tx, { attempt, signal }))
    return { kind: 'done' }
  } catch (error) {
    if (signal.aborted) return { kind: 'given_up' }
    return { kind: 'not_done', outcome: handling.outcomeOf(error), error, attempt }
  }
}

function notCalled(outcome: NotDoneOutcome): Handled {
  return { kind: 'not_done', outcome, error: undefined, attempt: 0 }
}

/** Many messages in one transaction. Never rejects. @returns false: not one of them was handled */
export async function handleTogether(
  items: readonly Item[],
  { handling, transactions }: MemoryHandlingParts,
  signal: AbortSignal,
): Promise<boolean> {
  const messages = items.flatMap(({ reading }) =>
    reading.kind === 'message' ? reading.message : [],
  )
  if (!(handling instanceof BatchHandling) || messages.length < items.length) return false
  if (items.some(expired)) return false
  try {
    await transactions.run(tx => handling.handleBatch(messages, tx, { signal }))
    return true
  } catch {
    // Handled one by one, each tells its own failure.
    return false
  }
}
