import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { LoadOrder, LoadReport } from './http-load.ts'

const PROGRAM = fileURLToPath(new URL('./http-load.ts', import.meta.url))

/** Has a process of its own ask a server. */
export class HttpLoader {
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>

  constructor() {
    // It ends by itself once this process is gone.
    this.#child = fork(PROGRAM, { execArgv: ['--import', 'tsx'] })
    this.#ended = once(this.#child, 'exit')
  }

  /** One order at a time. @throws when a connection breaks, or an answer has another status than `status` */
  async play(order: LoadOrder, status: number): Promise<LoadReport> {
    this.#child.send(order)
    const over = new AbortController()
    const ended = this.#ended.then(() => {
      throw new Error('the process that asks has ended')
    })
    const answered = once(this.#child, 'message', { signal: over.signal })
    answered.catch(() => {})
    const [{ report, error }] = await Promise.race([answered, ended]).finally(() => over.abort())
    if (error) throw new Error(`the load failed: ${error}`)
    const statuses = Object.keys((report as LoadReport).statuses)
    if (statuses.some(each => Number(each) !== status)) {
      throw new Error(`answers were ${JSON.stringify(report.statuses)}, not ${status}`)
    }
    return report
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.disconnect()
    await this.#ended
  }
}
