/** Waiting for what other parts of the same thread change. */
export class Condition {
  #waiting: (() => void)[] = []

  /** Resolves when the predicate is true, which is looked at now and after each `notify`. */
  async until(predicate: () => boolean): Promise<void> {
    while (!predicate()) {
      await new Promise<void>(settle => {
        this.#waiting.push(settle)
      })
    }
  }

  notify(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }
}
