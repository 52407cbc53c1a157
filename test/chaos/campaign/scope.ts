import type { Scope } from '../../support/parts.ts'

const EXIT_FORCED = 130

/** Stands in for a test's context outside of the test runner: what parts have to clean up is done by `close`. */
export class CampaignScope implements Scope {
  readonly name = 'chaos campaign'
  readonly #work: (() => Promise<void>)[] = []

  after(work: () => Promise<void>): void {
    this.#work.push(work)
  }

  async close(): Promise<void> {
    for (const work of this.#work.splice(0).reverse()) await work()
  }
}

/** A signal ends the process so that whoever has children to end is told; what is half done has no verdict. */
export function endOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => process.exit(EXIT_FORCED))
  }
}
