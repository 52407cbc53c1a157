import { SluiceError } from '../errors.ts'
import type { EventRecord } from '../outbox/new-event.ts'
import type { Tx } from './tx.ts'

export type Begin = <T>(work: (tx: Tx) => Promise<T>) => Promise<T>

/** What `enqueue` sends; it never reaches a database from here. */
const ENQUEUE = /\binsert into outbox\.events\b/

/**
 * Transactions whose events go to the memory bus at their commit instead of into an outbox. Everything else that is
 * asked of their `Tx` goes to the database, if there is one.
 */
export class MemoryTransactions {
  readonly #begin: Begin
  readonly #publish: (events: readonly EventRecord[]) => void
  readonly #known = new WeakSet<object>()

  constructor(begin: Begin | undefined, publish: (events: readonly EventRecord[]) => void) {
    this.#begin = begin ?? (work => work(WITHOUT_DATABASE))
    this.#publish = publish
  }

  knows(tx: Tx): boolean {
    return this.#known.has(tx)
  }

  async run<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const written: EventRecord[] = []
    const result = await this.#begin(tx => {
      // A `begin` may run it again.
      written.length = 0
      return work(this.#collecting(tx, written))
    })
    this.#publish(written)
    return result
  }

  #collecting(tx: Tx, written: EventRecord[]): Tx {
    const unsafe = (text: string, values: string[], options: object) => {
      if (!ENQUEUE.test(text)) return tx.unsafe(text, values, options)
      const events = JSON.parse(values[0] as string) as EventRecord[]
      written.push(...events)
      return Promise.resolve([{ written: events.length }])
    }
    const savepoint = async <T>(work: (inner: Tx) => Promise<T>): Promise<T> => {
      const within: EventRecord[] = []
      const result = await tx.savepoint(inner => work(this.#collecting(inner, within)))
      written.push(...within)
      return result
    }
    const own = { unsafe, savepoint }
    const collecting = new Proxy(tx, {
      get: (target, name) => Reflect.get(Object.hasOwn(own, name) ? own : target, name),
    })
    this.#known.add(collecting)
    return collecting
  }
}

const refuse = () => {
  const text =
    'this bus has no database: give createMemoryBus({ begin }) the way to open a transaction'
  throw new SluiceError('options', text)
}

const WITHOUT_DATABASE = new Proxy(refuse as unknown as Tx, {
  get: (target, name) => {
    if (name === 'savepoint') return <T>(work: (tx: Tx) => Promise<T>) => work(target)
    // What looks at a value in passing, such as an await or an inspection, is not a use of the database.
    return typeof name === 'symbol' || name === 'then' ? undefined : refuse
  },
})
