import { SluiceError } from '../errors.ts'

/**
 * Watches over named loops. One that rejects, or ends before it was asked to, is the death of the whole: `died`
 * rejects with its name.
 */
export class Supervisor {
  readonly #stopping: AbortSignal
  readonly #loops: Promise<void>[] = []
  readonly died: Promise<never>
  #die: (error: Error) => void = () => {}

  /** @param stopping aborted once loops are asked to end */
  constructor(stopping: AbortSignal) {
    this.#stopping = stopping
    this.died = new Promise((_, reject) => {
      this.#die = reject
    })
    this.died.catch(() => {})
  }

  watch(name: string, loop: Promise<void>): void {
    const watched = loop.then(
      () => {
        if (!this.#stopping.aborted) this.#die(deathOf(name, undefined))
      },
      cause => this.#die(deathOf(name, cause)),
    )
    this.#loops.push(watched)
  }

  /** Resolves when all loops have ended, however they ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#loops)
  }
}

function deathOf(name: string, cause: unknown): SluiceError {
  return new SluiceError('lifecycle', `${name} ended unexpectedly`, { cause })
}
