import { Fifo } from '../internal/fifo.ts'
import { HEADERS, headerText, type SourceRecord } from './message.ts'

/** Whether the record takes part in its key's order: it has a key, and its header does not lift it. */
export function hasOrder(record: SourceRecord): boolean {
  return record.key !== null && headerText(record, HEADERS.ordered) !== 'false'
}

/** Records of the same chain run one after the other; null: it runs whenever there is room. */
export function chainOf(record: SourceRecord, order: 'key' | 'partition' | 'none'): string | null {
  if (order === 'partition') return ''
  // latin1, because it maps each byte to a character of its own.
  return order === 'key' && hasOrder(record) ? (record.key as Buffer).toString('latin1') : null
}

/** What may be handled next, of one partition. */
export class KeyOrder<R extends { readonly chain: string | null }> {
  readonly #ready = new Fifo<R>()
  /** Chains with a record that is ready or in work, and those that wait for it; null while none does. */
  readonly #chains = new Map<string, Fifo<R> | null>()

  /** Records that may run at once. */
  get ready(): number {
    return this.#ready.size
  }

  add(record: R): void {
    const { chain } = record
    const waiting = chain === null ? undefined : this.#chains.get(chain)
    if (waiting === undefined) {
      if (chain !== null) this.#chains.set(chain, null)
      this.#ready.push(record)
    } else if (waiting === null) {
      const first = new Fifo<R>()
      first.push(record)
      this.#chains.set(chain as string, first)
    } else {
      waiting.push(record)
    }
  }

  next(): R | undefined {
    return this.#ready.shift()
  }

  /** It was given out by `next`, and is to be given out again before all others. */
  putBack(record: R): void {
    this.#ready.unshift(record)
  }

  /** It was given out by `next`, and the next of its chain may run. */
  finish({ chain }: R): void {
    if (chain === null) return
    const next = this.#chains.get(chain)?.shift()
    if (next === undefined) this.#chains.delete(chain)
    else this.#ready.push(next)
  }

  clear(): void {
    this.#ready.clear()
    this.#chains.clear()
  }
}
