import { once } from 'node:events'

/** Of this process, as main.ts calls it. */
export const name = process.argv[2] ?? 'someone'

/** Tells main.ts, where this process was started by it. */
export function tell(word: 'ready' | 'done'): void {
  process.send?.(word)
}

/** What main.ts says next; at once where nobody has started this process. */
export async function heard(): Promise<void> {
  if (process.send) await once(process, 'message')
}
