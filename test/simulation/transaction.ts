import type { LaneRow } from './lane-rows.ts'
import { type VirtualTime, WORLD } from './virtual-time.ts'

export type LockMode = 'share' | 'update'

/** A statement of a relay under way on the server: its locks, its waits, and its end by someone else's hand. */
export class Transaction {
  readonly #time: VirtualTime
  readonly #locked = new Set<LaneRow>()
  #error: Error | null = null
  #interrupt: (error: Error) => void = () => {}

  constructor(time: VirtualTime) {
    this.#time = time
  }

  abort(reason: string): void {
    this.#error ??= new Error(reason)
    this.#interrupt(this.#error)
  }

  check(): void {
    if (this.#error) throw this.#error
  }

  async wait(durationMs: number): Promise<void> {
    this.check()
    if (durationMs <= 0) return
    await this.#until(resolve => this.#time.after(durationMs, WORLD, resolve))
  }

  /** Waits for whoever holds the row in a mode that conflicts. */
  async lock(row: LaneRow, mode: LockMode): Promise<void> {
    while (!this.canLock(row, mode)) await this.#until(resolve => row.waiting.push(resolve))
    row.holders.set(this, mode)
    this.#locked.add(row)
  }

  canLock(row: LaneRow, mode: LockMode): boolean {
    for (const [holder, held] of row.holders) {
      if (holder !== this && (mode === 'update' || held === 'update')) return false
    }
    return true
  }

  release(): void {
    for (const row of this.#locked) {
      row.holders.delete(this)
      for (const wake of row.waiting.splice(0)) wake()
    }
    this.#locked.clear()
  }

  async #until(begin: (resolve: () => void) => void): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#interrupt = reject
      begin(resolve)
    })
    this.check()
  }
}
