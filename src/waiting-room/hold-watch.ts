import type { ConsumerListener } from '../consumer/consumer-events.ts'
import type { Holds } from '../consumer/gates.ts'
import type { TopicPartition } from '../consumer/record-source.ts'
import { pause } from '../internal/pause.ts'
import type { Database } from '../postgres/database.ts'

export interface HoldWatchOptions {
  readonly database: Database
  readonly group: string
  readonly onEvent: ConsumerListener
  /** Default 1,000. */
  readonly pollMs?: number
}

const POLL_MS = 1_000

/**
 * What is held of a group, as it was when the database was asked last. While it does not answer nothing changes. A hold
 * until a time ends by itself, by the database's clock.
 */
export class HoldWatch implements Holds {
  readonly #options: Required<HoldWatchOptions>
  readonly #stop = new AbortController()
  readonly #listeners = new Set<() => void>()
  #held: ReadonlySet<string> = new Set()
  #reading: Promise<void> = Promise.resolve()
  /** Resolves once stopped. */
  readonly completed: Promise<void>

  private constructor(options: HoldWatchOptions, held: ReadonlySet<string>) {
    this.#options = { pollMs: POLL_MS, ...options }
    this.#held = held
    this.completed = this.#loop()
  }

  /**
   * @returns once it is known what is held
   * @throws SluiceError `database`
   */
  static async start(options: HoldWatchOptions): Promise<HoldWatch> {
    return new HoldWatch(options, await readHeld(options))
  }

  holds({ topic, partition }: TopicPartition): boolean {
    const held = this.#held
    return (
      held.size > 0 &&
      [`*/-1`, `${topic}/-1`, `${topic}/${partition}`].some(target => held.has(target))
    )
  }

  onChange(listener: () => void): () => void {
    // One of its own, so that a listener that is given twice is taken off once at a time.
    const own = () => listener()
    this.#listeners.add(own)
    return () => {
      this.#listeners.delete(own)
    }
  }

  /** Looks at once. @throws SluiceError `database`: what was known stays */
  async refresh(): Promise<void> {
    // One after the other, so that an answer that is late cannot undo a newer one.
    const reading = this.#reading.then(() => this.#read())
    this.#reading = reading.catch(() => {})
    await reading
  }

  /** Safe to call twice. */
  async stop(): Promise<void> {
    this.#stop.abort()
    this.#listeners.clear()
    await this.completed
  }

  async #loop(): Promise<void> {
    const { pollMs, group, onEvent } = this.#options
    for (;;) {
      await pause(pollMs, this.#stop.signal)
      if (this.#stop.signal.aborted) return
      try {
        await this.refresh()
      } catch (error) {
        onEvent({ kind: 'store_failed', group, error })
      }
    }
  }

  async #read(): Promise<void> {
    const held = await readHeld(this.#options)
    const before = this.#held
    this.#held = held
    const isSame = held.size === before.size && [...held].every(target => before.has(target))
    if (!isSame) for (const listener of [...this.#listeners]) listener()
  }
}

/** `topic/partition` of each hold. */
async function readHeld({ database, group }: HoldWatchOptions): Promise<ReadonlySet<string>> {
  const rows = await database.run(
    'reading what is held',
    sql => sql<{ topic: string; partition: number }[]>`
      select topic, partition from waiting_room.holds
      where group_id = ${group} and held_until > now()`,
  )
  return new Set(rows.map(({ topic, partition }) => `${topic}/${partition}`))
}
